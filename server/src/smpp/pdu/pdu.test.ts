import { expect, test } from 'vitest'
import { asDeliverSm, dataSm } from './pdu.ts'
import { formatReceipt } from './receipt-format.ts'
import { isReceipt, parseReceipt } from './receipt-text.ts'

const addresses = { source_addr_ton: 1, source_addr: '12065550100', destination_addr: '12345' }

test('an MO in a data_sm converts to a deliver_sm with a text longer than any short_message', () => {
  const text = Buffer.from('STOP '.repeat(100))
  const pdu = dataSm({
    sequence_number: 7,
    ...addresses,
    data_coding: 3,
    tlvs: { message_payload: text, source_port: 9 },
  })
  expect(asDeliverSm(pdu)).toMatchObject({
    command: 'deliver_sm',
    sequence_number: 7,
    ...addresses,
    data_coding: 3,
    short_message: text,
    tlvs: { source_port: 9 },
  })
  expect(asDeliverSm(pdu).tlvs?.message_payload).toBeUndefined()
})

test('a receipt in a data_sm is recognized by its text or by its TLVs', () => {
  const message_payload = formatReceipt({
    message_id: '1a',
    stat: 'EXPIRED',
    submitDate: new Date(),
    doneDate: new Date(),
  })
  const withText = asDeliverSm(dataSm({ ...addresses, esm_class: 4, tlvs: { message_payload } }))
  expect([isReceipt(withText), parseReceipt(withText)]).toMatchObject([true, { message_id: '1a', stat: 'EXPIRED' }])
  const withTlvs = asDeliverSm(
    dataSm({ ...addresses, esm_class: 4, tlvs: { receipted_message_id: '1b', message_state: 2 } }),
  )
  expect([isReceipt(withTlvs), parseReceipt(withTlvs)]).toMatchObject([true, { message_id: '1b', stat: 'DELIVRD' }])
})

test('a data_sm without optional parameters has an empty text', () => {
  const { tlvs: _, ...pdu } = dataSm({ ...addresses, tlvs: {} })
  expect(asDeliverSm(pdu)).toMatchObject({ short_message: Buffer.alloc(0) })
})
