// submit_multi and data_sm, and query_sm, cancel_sm and replace_sm on submitted messages.

import { describe, expect, test } from 'vitest'
import { type Client, receiptsOf, submit, textTo, useSimulator } from '../../test/simulator.ts'
import { waitFor } from '../../test/wait-for.ts'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import { toHandset } from '../smpp/pdu/destinations.ts'
import { messageState } from '../smpp/pdu/flags.ts'
import { asDeliverSm, cancelSm, dataSm, querySm, replaceSm, submitMulti } from '../smpp/pdu/pdu.ts'
import { parseReceipt } from '../smpp/pdu/receipt-text.ts'
import { absoluteTime, relativeTime } from '../smpp/pdu/time.ts'
import { MessageStates } from './message-states.ts'

const simulator = useSimulator()
const { control } = simulator

const number = (lastTwo: string) => `121255501${lastTwo}`
const plain = number('99')
const settings = (body: unknown) => control('PATCH', '/settings', body)
const state = async () => (await control('GET', '/state')).body
const textsOn = async (phone: string) => (await control('GET', `/handsets/${phone}/messages`)).body.messages
const query = ({ session }: Client, message_id: string, source_addr = '12345') =>
  session.send(querySm({ message_id, source_addr }))
const cancel = ({ session }: Client, message_id: string, destination_addr = '') =>
  session.send(cancelSm({ message_id, source_addr: '12345', destination_addr }))

describe('query_sm', () => {
  test('reports ENROUTE first, then the final state and its time', async () => {
    const client = await simulator.bind()
    await settings({ receipt_delay_ms: 2_000 })
    const { message_id } = await submit(client, textTo(plain))
    expect(await query(client, message_id)).toMatchObject({
      command_status: 0,
      message_id,
      message_state: messageState.ENROUTE,
      final_date: '',
    })
    await waitFor(() => client.delivered.length === 1)
    expect(await query(client, message_id)).toMatchObject({
      message_state: messageState.DELIVERED,
      final_date: expect.stringMatching(/^\d{13}00\+$/),
    })
  })

  test.each([
    ['01', messageState.UNDELIVERABLE],
    ['03', messageState.DELIVERED],
  ])('reports the final state of 555-01%s with and without a receipt: %i', async (lastTwo, message_state) => {
    const client = await simulator.bind()
    const { message_id } = await submit(client, textTo(number(lastTwo)))
    expect(await query(client, message_id)).toMatchObject({ command_status: 0, message_state })
  })

  test('accepts the id in the spelling of the responses; rejects messages of other senders and unknown ids', async () => {
    const client = await simulator.bind()
    await settings({ id_form: 'decimal_padded' })
    const { message_id } = await submit(client, textTo(plain))
    expect(message_id).toMatch(/^0\d{19}$/)
    expect(await query(client, message_id)).toMatchObject({ command_status: 0, message_state: 2 })
    const failed = { command_status: status.ESME_RQUERYFAIL }
    expect(await query(client, message_id, '54321')).toMatchObject(failed)
    expect(await query(client, '123')).toMatchObject(failed)
    expect(await query(client, 'no id')).toMatchObject(failed)
  })
})

describe('cancel_sm', () => {
  test('deletes a pending text: its receipt is DELETED immediately, and the handset has no text', async () => {
    const client = await simulator.bind()
    await settings({ receipt_delay_ms: 60_000 })
    const { message_id } = await submit(client, textTo(plain))
    expect(await textsOn('2125550199')).toHaveLength(1)
    expect(await cancel(client, message_id)).toMatchObject({ command: 'cancel_sm_resp', command_status: 0 })
    await waitFor(() => client.delivered.length === 1)
    expect(receiptsOf(client)).toMatchObject([{ message_id, stat: 'DELETED' }])
    expect(await textsOn('2125550199')).toEqual([])
    expect(await query(client, message_id)).toMatchObject({ message_state: messageState.DELETED })
    await waitFor(async () => (await state()).owed === 0)
    expect(await cancel(client, message_id)).toMatchObject({ command_status: status.ESME_RCANCELFAIL })
  })

  test.each([0, 300])(
    'sends the receipt also with registered_delivery onFailure, with responses after %i ms',
    async (latency_ms) => {
      const client = await simulator.bind()
      await settings({ latency_ms, receipt_delay_ms: 60_000, receipt_count: 2 })
      const delivered = submit(client, textTo(number('98'), { registered_delivery: 2 }))
      const cancelled = submit(client, textTo(plain, { registered_delivery: 2 }))
      await waitFor(() => simulator.raw().length === 2)
      expect((await state()).owed).toBe(0)
      expect(await cancel(client, '', plain)).toMatchObject({ command_status: 0 })
      await waitFor(() => client.delivered.length === 1)
      expect(receiptsOf(client)).toMatchObject([{ message_id: (await cancelled).message_id, stat: 'DELETED' }])
      await delivered
      await waitFor(async () => (await state()).owed === 0)
      // a delivered text gets no receipt
      await settings({ latency_ms: 0, receipt_delay_ms: 30 })
      const { message_id } = await submit(client, textTo(plain, { registered_delivery: 2 }))
      const queryState = async () => (await query(client, message_id)) as { message_state?: number }
      await waitFor(async () => (await queryState()).message_state === messageState.DELIVERED)
      await submit(client, textTo(number('97')))
      await waitFor(() => client.delivered.length === 3)
      expect(receiptsOf(client).map((receipt) => receipt?.stat)).toEqual(['DELETED', 'DELIVRD', 'DELIVRD'])
      expect((await state()).owed).toBe(0)
    },
  )

  test('rejects a message in its final state and an unknown message', async () => {
    const client = await simulator.bind()
    const { message_id } = await submit(client, textTo(plain))
    await waitFor(() => client.delivered.length === 1)
    for (const id of [message_id, '123', 'no id']) {
      expect(await cancel(client, id)).toMatchObject({ command_status: status.ESME_RCANCELFAIL })
    }
    expect(await textsOn('2125550199')).toHaveLength(1)
  })

  test('deletes, without an id, exactly the pending texts to the handset, including texts without a response', async () => {
    const client = await simulator.bind()
    await settings({ receipt_delay_ms: 60_000 })
    const first = await submit(client, textTo(plain))
    await submit(client, textTo(number('98')))
    await settings({ latency_ms: 300 })
    const second = submit(client, textTo(plain))
    await waitFor(() => simulator.raw().length === 3)
    expect(await cancel(client, '', plain)).toMatchObject({ command_status: 0 })
    await waitFor(() => client.delivered.length === 2)
    expect(receiptsOf(client)).toMatchObject([
      { message_id: first.message_id, stat: 'DELETED' },
      { message_id: (await second).message_id, stat: 'DELETED' },
    ])
    expect(await cancel(client, '', plain)).toMatchObject({ command_status: status.ESME_RCANCELFAIL })
    expect((await state()).owed).toBe(1)
  })
})

test('replace_sm replaces a pending text', async () => {
  const client = await simulator.bind()
  await settings({ receipt_delay_ms: 1_500 })
  const { message_id } = await submit(client, textTo(plain))
  expect(await textsOn('2125550199')).toMatchObject([{ content: 'Hello there' }])
  const pdu = () => replaceSm({ message_id, source_addr: '12345', short_message: Buffer.from('Goodbye') })
  expect(await client.session.send(pdu())).toMatchObject({ command: 'replace_sm_resp', command_status: 0 })
  expect(await textsOn('2125550199')).toMatchObject([{ content: 'Goodbye' }])
  await waitFor(() => client.delivered.length === 1)
  expect(receiptsOf(client)).toMatchObject([{ message_id, stat: 'DELIVRD', text: 'Goodbye' }])
  expect(await client.session.send(pdu())).toMatchObject({ command_status: status.ESME_RREPLACEFAIL })
  expect(simulator.raw()).toHaveLength(1)
})

describe('submit_multi', () => {
  const multi = (...dest_address: Parameters<typeof submitMulti>[0]['dest_address'][number][]) =>
    submitMulti({ source_addr: '12345', dest_address, short_message: Buffer.from('Hi all'), registered_delivery: 1 })

  test('is one message per handset, with consecutive ids, a receipt each, and the rejected destinations', async () => {
    const client = await simulator.bind()
    const response = await client.session.send(
      multi(toHandset(plain), toHandset(number('10'), 1, 1), toHandset(number('01'))),
    )
    const ids = simulator.raw().map((line) => line.smscId)
    expect(ids).toHaveLength(2)
    expect(response).toMatchObject({
      command: 'submit_multi_resp',
      command_status: 0,
      message_id: ids[0],
      unsuccess_sme: [
        {
          dest_addr_ton: 1,
          dest_addr_npi: 1,
          destination_addr: number('10'),
          error_status_code: status.ESME_RINVDSTADR,
        },
      ],
    })
    await waitFor(() => client.delivered.length === 2)
    expect(receiptsOf(client)).toMatchObject([
      { message_id: ids[0], stat: 'DELIVRD' },
      { message_id: ids[1], stat: 'UNDELIV' },
    ])
  })

  test('is rejected without an accepted destination, and with a distribution list', async () => {
    const client = await simulator.bind()
    expect(await client.session.send(multi(toHandset(number('10'))))).toMatchObject({
      command_status: status.ESME_RINVDSTADR,
      message_id: '',
    })
    expect(await client.session.send(multi(toHandset(plain), { dest_flag: 2, dl_name: 'friends' }))).toMatchObject({
      command_status: status.ESME_RINVDLNAME,
    })
    expect(simulator.raw()).toEqual([])
  })

  test('gets no response if the response to one of its texts is lost', async () => {
    const client = await simulator.bind({ responseDeadlineMs: 100 })
    await expect(client.session.send(multi(toHandset(plain), toHandset(number('05'))))).rejects.toThrow('no response')
    expect(simulator.raw()).toHaveLength(2)
    expect(await state()).toMatchObject({ accepted: 2, responses_lost: 1 })
  })
})

describe('data_sm', () => {
  test('submits the text in message_payload', async () => {
    const client = await simulator.bind()
    const payload = Buffer.from('A text longer than a short_message. '.repeat(10))
    const response = await client.session.send(
      dataSm({
        source_addr: '12345',
        destination_addr: plain,
        registered_delivery: 1,
        tlvs: { message_payload: payload, user_message_reference: 9 },
      }),
    )
    const [line] = simulator.raw()
    expect(response).toMatchObject({ command: 'data_sm_resp', command_status: 0, message_id: line?.smscId })
    expect(line).toMatchObject({ shortMessage: payload.toString('hex'), userMessageReference: 9 })
    await waitFor(() => client.delivered.length === 1)
    expect(receiptsOf(client)).toMatchObject([{ stat: 'DELIVRD', text: 'A text longer than a' }])
  })

  test('is EXPIRED if its qos_time_to_live is shorter than its delay', async () => {
    const client = await simulator.bind()
    await settings({ receipt_delay_ms: 60_000 })
    const tlvs = { message_payload: Buffer.from('hi'), qos_time_to_live: 1 }
    await client.session.send(dataSm({ source_addr: '12345', destination_addr: plain, registered_delivery: 1, tlvs }))
    await waitFor(() => client.delivered.length === 1)
    expect(receiptsOf(client)).toMatchObject([{ stat: 'EXPIRED' }])
  })

  test('is the PDU of receipts if receipt_pdu is data_sm', async () => {
    const client = await simulator.bind()
    const receipts: unknown[] = []
    client.session.on('request', (pdu) => {
      if (pdu.command === 'data_sm') receipts.push(parseReceipt(asDeliverSm(pdu)))
    })
    await settings({ receipt_pdu: 'data_sm' })
    const { message_id } = await submit(client, textTo(plain))
    await waitFor(() => receipts.length === 1)
    expect(receipts).toMatchObject([{ message_id, stat: 'DELIVRD', text: 'Hello there' }])
    expect(client.delivered).toEqual([])
    await waitFor(async () => (await state()).owed === 0)
  })
})

describe('validity_period', () => {
  test.each([
    ['a period', () => relativeTime(1_000)],
    ['a time', () => absoluteTime(Date.now() + 300)],
    ['a time in the past', () => absoluteTime(Date.now() - 60_000)],
  ])(
    '%s that ends before the delay makes the text EXPIRED, so that the handset does not receive it',
    async (_case, validity) => {
      const client = await simulator.bind()
      await settings({ receipt_delay_ms: 60_000 })
      const { message_id } = await submit(client, textTo(plain, { validity_period: validity() }))
      await waitFor(() => client.delivered.length === 1)
      expect(receiptsOf(client)).toMatchObject([{ message_id, stat: 'EXPIRED' }])
      expect(client.delivered[0]?.tlvs).toMatchObject({ message_state: messageState.EXPIRED })
      expect(await query(client, message_id)).toMatchObject({ message_state: messageState.EXPIRED })
      expect(await textsOn('2125550199')).toEqual([])
    },
  )

  test('has no effect if it is long enough, and rejects the text if it is malformed', async () => {
    const client = await simulator.bind()
    await submit(client, textTo(plain, { validity_period: relativeTime(60_000) }))
    await waitFor(() => client.delivered.length === 1)
    expect(receiptsOf(client)).toMatchObject([{ stat: 'DELIVRD' }])
    const rejected = await submit(client, textTo(plain, { validity_period: 'soon' }))
    expect(rejected.command_status).toBe(status.ESME_RINVEXPIRY)
  })
})

test.each([
  ['gsm7', Buffer.from('at \u0000 home', 'latin1')],
  ['latin1', Buffer.from('at @ home', 'latin1')],
])('charset %s is the charset of data_coding 0 on a handset', async (charset, short_message) => {
  const client = await simulator.bind()
  await settings({ charset })
  await submit(client, textTo(plain, { short_message }))
  expect(await textsOn('2125550199')).toMatchObject([{ content: 'at @ home' }])
})

describe('a handset', () => {
  const parts = ['First, ', 'second ', 'and last.']

  test('joins parts by sar TLVs, in any order', async () => {
    const client = await simulator.bind()
    for (const sequence of [3, 1, 2]) {
      const tlvs = { sar_msg_ref_num: 700, sar_total_segments: 3, sar_segment_seqnum: sequence }
      await submit(client, textTo(plain, { short_message: Buffer.from(parts[sequence - 1] ?? ''), tlvs }))
    }
    const whole = { content: 'First, second and last.', part_count: 3, complete: true }
    expect(await textsOn('2125550199')).toMatchObject([whole])
    expect((await textsOn('2125550199')).length).toBe(1)
  })

  test('joins parts by a user data header with a 16-bit reference', async () => {
    const client = await simulator.bind()
    for (const [index, part] of parts.entries()) {
      const header = Buffer.from([0x06, 0x08, 0x04, 0x02, 0xbc, 3, index + 1])
      const short_message = Buffer.concat([header, Buffer.from(part)])
      await submit(client, textTo(plain, { esm_class: 0x40, short_message }))
    }
    expect(await textsOn('2125550199')).toMatchObject([{ content: 'First, second and last.', complete: true }])
  })

  test('replies once, to the last part', async () => {
    const client = await simulator.bind()
    await settings({ receipt_mix: { none: 100 } })
    for (const sequence of [1, 2]) {
      const tlvs = { sar_msg_ref_num: 7, sar_total_segments: 2, sar_segment_seqnum: sequence }
      await submit(client, textTo(number('07'), { registered_delivery: 0, tlvs }))
      expect((await state()).owed).toBe(sequence - 1)
    }
  })
})

test('MessageStates stores only the last messages, and distinguishes ids that share an index', () => {
  const states = new MessageStates(10)
  for (let id = 1; id <= 15; id++) states.add(id, 'from', 'to', messageState.DELIVERED, 100 + id)
  expect(states.find(5, 'from', 1_000)).toBeUndefined()
  expect(states.find(15, 'from', 1_000)).toEqual({ state: messageState.DELIVERED, finalAt: 115 })
  expect(states.pendingBetween('from', 'to', 111).toSorted((a, b) => a - b)).toEqual([12, 13, 14, 15])
  states.end(5, messageState.DELETED, 50)
  expect(states.isPending(15, 'from', 112)).toBe(true)
  states.end(15, messageState.DELETED, 112)
  expect(states.find(15, 'from', 113)).toEqual({ state: messageState.DELETED, finalAt: 112 })
  states.clear()
  expect(states.find(14, 'from', 1_000)).toBeUndefined()
})
