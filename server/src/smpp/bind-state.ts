import type { BindCommand, RequestCommand } from './pdu/pdu.ts'

export type BoundState = 'bound_tx' | 'bound_rx' | 'bound_trx'
/** `open` is a TCP connection without a bind; an unbind leads straight to `closed`. */
export type SessionState = 'open' | BoundState | 'closed'

/** The two ends of the link: the ESME binds to the SMSC. */
export type Side = 'esme' | 'smsc'

export const boundStateOf: Record<BindCommand, BoundState> = {
  bind_transmitter: 'bound_tx',
  bind_receiver: 'bound_rx',
  bind_transceiver: 'bound_trx',
}

const bound: readonly SessionState[] = ['bound_tx', 'bound_rx', 'bound_trx']
const transmits: readonly SessionState[] = ['bound_tx', 'bound_trx']
const receives: readonly SessionState[] = ['bound_rx', 'bound_trx']
const open: readonly SessionState[] = ['open']
const never: readonly SessionState[] = []

// SMPP 3.4 table 2-1: the states in which each end may send a command. enquire_link is allowed in every state, because it
// is harmless before the bind.
const rules: Record<RequestCommand, Record<Side, readonly SessionState[]>> = {
  bind_transmitter: { esme: open, smsc: never },
  bind_receiver: { esme: open, smsc: never },
  bind_transceiver: { esme: open, smsc: never },
  outbind: { esme: never, smsc: open },
  unbind: { esme: bound, smsc: bound },
  enquire_link: { esme: ['open', ...bound], smsc: ['open', ...bound] },
  submit_sm: { esme: transmits, smsc: never },
  submit_multi: { esme: transmits, smsc: never },
  query_sm: { esme: transmits, smsc: never },
  cancel_sm: { esme: transmits, smsc: never },
  replace_sm: { esme: transmits, smsc: never },
  deliver_sm: { esme: never, smsc: receives },
  data_sm: { esme: transmits, smsc: receives },
  alert_notification: { esme: never, smsc: receives },
}

/** Returns whether an end may send a command in a state. Before the bind, `by` is undefined, and either end is assumed. */
export function isAllowed(command: RequestCommand, by: Side | undefined, state: SessionState): boolean {
  const rule = rules[command]
  return by ? rule[by].includes(state) : rule.esme.includes(state) || rule.smsc.includes(state)
}
