import { type DataSm, type DeliverSm, deliverSm } from './pdu.ts'

const none = Buffer.alloc(0)

/**
 * A data_sm of the SMSC (§4.7) as the deliver_sm that says the same: message_payload becomes short_message, of whatever
 * length, and the other optional parameters stay. For reading only: what is answered is the data_sm itself.
 */
export function asDeliverSm(pdu: DataSm): DeliverSm {
  const { command: _, tlvs, ...fields } = pdu
  const { message_payload = none, ...others } = tlvs ?? {}
  return deliverSm({ ...fields, short_message: message_payload, ...(tlvs ? { tlvs: others } : {}) })
}
