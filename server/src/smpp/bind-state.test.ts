import { expect, test } from 'vitest'
import { isAllowed, type SessionState, type Side } from './bind-state.ts'
import type { RequestCommand } from './pdu/pdu.ts'

// SMPP 3.4 table 2-1, copied by hand: the states in which the ESME, and the SMSC, may send each command.
const table: [RequestCommand, esme: string, smsc: string][] = [
  ['bind_transmitter', 'open', ''],
  ['bind_receiver', 'open', ''],
  ['bind_transceiver', 'open', ''],
  ['outbind', '', 'open'],
  ['unbind', 'bound_tx bound_rx bound_trx', 'bound_tx bound_rx bound_trx'],
  ['submit_sm', 'bound_tx bound_trx', ''],
  ['submit_multi', 'bound_tx bound_trx', ''],
  ['data_sm', 'bound_tx bound_trx', 'bound_rx bound_trx'],
  ['deliver_sm', '', 'bound_rx bound_trx'],
  ['query_sm', 'bound_tx bound_trx', ''],
  ['cancel_sm', 'bound_tx bound_trx', ''],
  ['replace_sm', 'bound_tx bound_trx', ''],
  // our exception: an enquire_link before the bind is harmless
  ['enquire_link', 'open bound_tx bound_rx bound_trx', 'open bound_tx bound_rx bound_trx'],
  ['alert_notification', '', 'bound_rx bound_trx'],
]

const states: SessionState[] = ['open', 'bound_tx', 'bound_rx', 'bound_trx', 'closed']
const sides: Side[] = ['esme', 'smsc']

test.each(table)('each end may send %s in the states of the table', (command, ...expected) => {
  const allowed = sides.map((side) => states.filter((state) => isAllowed(command, side, state)).join(' '))
  expect(allowed).toEqual(expected)
  expect(isAllowed(command, undefined, 'open')).toBe(expected.some((text) => text.includes('open')))
})
