// The table of commands: every supported command, its id (SMPP 3.4 §5.1.2.1) and the mandatory fields of its body in
// wire order (§4). The codec iterates over this table and the PDU types are derived from it, so each field is declared once.

import { commandStatus as status } from './command-status.ts'

/** A one-octet integer. */
const uint8 = <N extends string>(name: N) => ({ name, type: 'uint8', max: 1, status: status.ESME_RSYSERR }) as const

/** A C-octet string: `max` includes its NUL; a value that does not fit is rejected with `status`. */
const cstring = <N extends string>(name: N, max: number, status: number) =>
  ({ name, type: 'cstring', max, status }) as const

/** sm_length and short_message (§5.2.21, §5.2.22) as one field of at most 254 octets. */
const shortMessage = { name: 'short_message', type: 'octets', max: 255, status: status.ESME_RINVMSGLEN } as const

/** number_of_dests and dest_address(es) (§4.5.1.1): 1 to 254 handsets or distribution lists. */
const destinations = {
  name: 'dest_address',
  type: 'destinations',
  max: 6_121,
  status: status.ESME_RINVNUMDESTS,
} as const

/** no_unsuccess and unsuccess_sme(s) (§4.5.2.1): the rejected destinations with their reasons. */
const rejected = { name: 'unsuccess_sme', type: 'rejected', max: 6_886, status: status.ESME_RINVNUMDESTS } as const

// NOTE: §4.1.1 allows 15 characters of system_id and 8 of password; aggregators assign longer ones, so 63 are accepted.
const systemId = cstring('system_id', 64, status.ESME_RINVSYSID)
const password = cstring('password', 64, status.ESME_RINVPASWD)
const serviceType = cstring('service_type', 6, status.ESME_RINVSERTYP)
const messageId = cstring('message_id', 65, status.ESME_RINVMSGID)

const source = (max: number) =>
  [uint8('source_addr_ton'), uint8('source_addr_npi'), cstring('source_addr', max, status.ESME_RINVSRCADR)] as const
const destination = (max: number) =>
  [uint8('dest_addr_ton'), uint8('dest_addr_npi'), cstring('destination_addr', max, status.ESME_RINVDSTADR)] as const

const bindBody = [
  systemId,
  password,
  cstring('system_type', 33, status.ESME_RINVSYSTYP),
  uint8('interface_version'),
  uint8('addr_ton'),
  uint8('addr_npi'),
  cstring('address_range', 41, status.ESME_RBINDFAIL),
] as const

const smOptions = [
  uint8('esm_class'),
  uint8('protocol_id'),
  uint8('priority_flag'),
  cstring('schedule_delivery_time', 17, status.ESME_RINVSCHED),
  cstring('validity_period', 17, status.ESME_RINVEXPIRY),
  uint8('registered_delivery'),
  uint8('replace_if_present_flag'),
  uint8('data_coding'),
  uint8('sm_default_msg_id'),
  shortMessage,
] as const

const smBody = [serviceType, ...source(21), ...destination(21), ...smOptions] as const

// `tlvs`: optional parameters may follow the body; without it, octets after the body are ignored.
// `bare`: a response with an error status has no body (§4.1.2, §4.4.2).
export const commands = {
  generic_nack: { id: 0x8000_0000, body: [], tlvs: false, bare: false },
  bind_receiver: { id: 0x0000_0001, body: bindBody, tlvs: false, bare: false },
  bind_receiver_resp: { id: 0x8000_0001, body: [systemId], tlvs: true, bare: true },
  bind_transmitter: { id: 0x0000_0002, body: bindBody, tlvs: false, bare: false },
  bind_transmitter_resp: { id: 0x8000_0002, body: [systemId], tlvs: true, bare: true },
  query_sm: { id: 0x0000_0003, body: [messageId, ...source(21)], tlvs: false, bare: false },
  query_sm_resp: {
    id: 0x8000_0003,
    body: [
      messageId,
      cstring('final_date', 17, status.ESME_RSYSERR),
      uint8('message_state'),
      uint8('error_code'),
    ] as const,
    tlvs: true,
    bare: false,
  },
  submit_sm: { id: 0x0000_0004, body: smBody, tlvs: true, bare: false },
  submit_sm_resp: { id: 0x8000_0004, body: [messageId], tlvs: true, bare: true },
  deliver_sm: { id: 0x0000_0005, body: smBody, tlvs: true, bare: false },
  deliver_sm_resp: { id: 0x8000_0005, body: [messageId], tlvs: true, bare: false },
  unbind: { id: 0x0000_0006, body: [], tlvs: false, bare: false },
  unbind_resp: { id: 0x8000_0006, body: [], tlvs: false, bare: false },
  replace_sm: {
    id: 0x0000_0007,
    body: [
      messageId,
      ...source(21),
      cstring('schedule_delivery_time', 17, status.ESME_RINVSCHED),
      cstring('validity_period', 17, status.ESME_RINVEXPIRY),
      uint8('registered_delivery'),
      uint8('sm_default_msg_id'),
      shortMessage,
    ] as const,
    tlvs: false,
    bare: false,
  },
  replace_sm_resp: { id: 0x8000_0007, body: [], tlvs: false, bare: false },
  cancel_sm: {
    id: 0x0000_0008,
    body: [serviceType, messageId, ...source(21), ...destination(21)],
    tlvs: false,
    bare: false,
  },
  cancel_sm_resp: { id: 0x8000_0008, body: [], tlvs: false, bare: false },
  bind_transceiver: { id: 0x0000_0009, body: bindBody, tlvs: false, bare: false },
  bind_transceiver_resp: { id: 0x8000_0009, body: [systemId], tlvs: true, bare: true },
  outbind: { id: 0x0000_000b, body: [systemId, password], tlvs: false, bare: false },
  enquire_link: { id: 0x0000_0015, body: [], tlvs: false, bare: false },
  enquire_link_resp: { id: 0x8000_0015, body: [], tlvs: false, bare: false },
  submit_multi: {
    id: 0x0000_0021,
    body: [serviceType, ...source(21), destinations, ...smOptions] as const,
    tlvs: true,
    bare: false,
  },
  submit_multi_resp: { id: 0x8000_0021, body: [messageId, rejected] as const, tlvs: true, bare: false },
  alert_notification: {
    id: 0x0000_0102,
    body: [
      ...source(65),
      uint8('esme_addr_ton'),
      uint8('esme_addr_npi'),
      cstring('esme_addr', 65, status.ESME_RINVDSTADR),
    ] as const,
    tlvs: true,
    bare: false,
  },
  data_sm: {
    id: 0x0000_0103,
    body: [
      serviceType,
      ...source(65),
      ...destination(65),
      uint8('esm_class'),
      uint8('registered_delivery'),
      uint8('data_coding'),
    ] as const,
    tlvs: true,
    bare: false,
  },
  data_sm_resp: { id: 0x8000_0103, body: [messageId], tlvs: true, bare: false },
} as const

export type Command = keyof typeof commands
export type FieldType = 'uint8' | 'cstring' | 'octets' | 'destinations' | 'rejected'
export type Field = { name: string; type: FieldType; max: number; status: number }
