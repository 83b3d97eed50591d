// The PDU types, derived from the tables, and the constructors of requests. A PDU is a plain object; its fields carry the
// spec's names and every mandatory field is there, so the codec sees one shape per command.

import { type Command, commands } from './commands.ts'
import type { Tlvs } from './tlvs.ts'

type FieldOf<C extends Command> = (typeof commands)[C]['body'][number]
type ValueOf<F> = F extends { type: 'uint8' } ? number : F extends { type: 'octets' } ? Buffer : string

export type Header<C extends Command> = { command: C; command_status: number; sequence_number: number }
export type Body<C extends Command> = { [F in FieldOf<C> as F['name']]: ValueOf<F> }
export type PduOf<C extends Command> = C extends Command ? Header<C> & Body<C> & { tlvs?: Tlvs } : never
export type Pdu = PduOf<Command>

export type BindCommand = 'bind_transmitter' | 'bind_receiver' | 'bind_transceiver'
export type ResponseCommand = Extract<Command, `${string}_resp`> | 'generic_nack'
export type RequestCommand = Exclude<Command, ResponseCommand>
export type ResponseTo<C extends RequestCommand> = `${C}_resp` extends Command
  ? PduOf<`${C}_resp`> | GenericNack
  : GenericNack

export type RequestPdu = PduOf<RequestCommand>
export type ResponsePdu = PduOf<ResponseCommand>
export type Bind = PduOf<BindCommand>
export type BindResp = PduOf<`${BindCommand}_resp`>
export type SubmitSm = PduOf<'submit_sm'>
export type SubmitSmResp = PduOf<'submit_sm_resp'>
export type DeliverSm = PduOf<'deliver_sm'>
export type DeliverSmResp = PduOf<'deliver_sm_resp'>
export type DataSm = PduOf<'data_sm'>
export type DataSmResp = PduOf<'data_sm_resp'>
export type QuerySm = PduOf<'query_sm'>
export type QuerySmResp = PduOf<'query_sm_resp'>
export type CancelSm = PduOf<'cancel_sm'>
export type CancelSmResp = PduOf<'cancel_sm_resp'>
export type Outbind = PduOf<'outbind'>
export type EnquireLink = PduOf<'enquire_link'>
export type Unbind = PduOf<'unbind'>
export type GenericNack = PduOf<'generic_nack'>

const empty = Buffer.alloc(0)

function buildBlank(command: Command): Pdu {
  const none = { uint8: 0, cstring: '', octets: null }
  const body = commands[command].body.map((field): [string, unknown] => [field.name, none[field.type]])
  const all = [['command', command], ['command_status', 0], ['sequence_number', 0], ...body, ['tlvs', null]]
  // NOTE: through JSON because V8 turns an object that was built key by key into a hash table from a dozen keys on, and
  // each copy of it too: decoding a submit_sm took 2.2 µs instead of 0.3.
  const blank = JSON.parse(JSON.stringify(Object.fromEntries(all)))
  if ('short_message' in blank) blank.short_message = empty
  blank.tlvs = undefined
  return blank
}

const blanks = Object.fromEntries(
  (Object.keys(commands) as Command[]).map((command) => [command, buildBlank(command)]),
) as unknown as { [C in Command]: PduOf<C> }

/** A PDU of this command with every field at the spec's "none": 0, '' or no octets. */
export function blankPdu<C extends Command>(command: C): PduOf<C> {
  return { ...blanks[command] } as PduOf<C>
}

type Needs<C extends Command, K extends keyof PduOf<C>> = Pick<PduOf<C>, K> & Partial<Omit<PduOf<C>, 'command'>>

// Sequence number 0 means: the session gives one. Unknown type of number and numbering plan are the defaults because
// the address alone does not say them; the gateway sets them per connection.

export const submitSm = (fields: Needs<'submit_sm', 'destination_addr' | 'short_message'>): SubmitSm => ({
  ...blanks.submit_sm,
  ...fields,
})

export const deliverSm = (
  fields: Needs<'deliver_sm', 'source_addr' | 'destination_addr' | 'short_message'>,
): DeliverSm => ({ ...blanks.deliver_sm, ...fields })

export const dataSm = (fields: Needs<'data_sm', 'destination_addr' | 'tlvs'>): DataSm => ({
  ...blanks.data_sm,
  ...fields,
})

/** A bind of the wanted kind, saying interface_version 3.4 (§5.2.4). */
export const bind = <C extends BindCommand>(command: C, fields: Needs<BindCommand, 'system_id' | 'password'>) =>
  ({ ...blankPdu(command), interface_version: 0x34, ...fields }) as PduOf<C>

export const querySm = (fields: Needs<'query_sm', 'message_id'>): QuerySm => ({ ...blankPdu('query_sm'), ...fields })

export const cancelSm = (fields: Needs<'cancel_sm', 'message_id'>): CancelSm => ({
  ...blankPdu('cancel_sm'),
  ...fields,
})

export const outbind = (fields: Needs<'outbind', 'system_id' | 'password'>): Outbind => ({
  ...blankPdu('outbind'),
  ...fields,
})

export const enquireLink = (): EnquireLink => blankPdu('enquire_link')
export const unbind = (): Unbind => blankPdu('unbind')

export const genericNack = (command_status: number, sequence_number: number): GenericNack => ({
  ...blankPdu('generic_nack'),
  command_status,
  sequence_number,
})

/** The command that answers each request. */
export const responseOf = Object.fromEntries(
  (Object.keys(commands) as Command[])
    .filter((command) => commands[command].id < 0x8000_0000)
    .map((command) => [command, `${command}_resp` in commands ? `${command}_resp` : 'generic_nack']),
) as Record<RequestCommand, ResponseCommand>

/** Whether a PDU answers one of ours: the top bit of the command id (§5.1.2). */
export function isResponse(pdu: Pdu): pdu is ResponsePdu {
  return commands[pdu.command].id >= 0x8000_0000
}

export function isBind(pdu: Pdu): pdu is Bind {
  return pdu.command === 'bind_transceiver' || pdu.command === 'bind_transmitter' || pdu.command === 'bind_receiver'
}
