// The settings that make the simulator an unreliable carrier.

import { describe, expect, test } from 'vitest'
import { mosOf, receiptsOf, submit, textTo, useSimulator } from '../../test/simulator.ts'
import { waitFor } from '../../test/wait-for.ts'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'

const simulator = useSimulator()
const { control } = simulator

const phone = '12125550199'
const settings = (body: unknown) => control('PATCH', '/settings', body)
const state = async () => (await control('GET', '/state')).body

describe('responses', () => {
  test('lose_responses: a share is accepted and gets a receipt, but no response', async () => {
    const client = await simulator.bind({ window: 400, responseDeadlineMs: 3_000 })
    await settings({ lose_responses: 25 })
    const responses = await Promise.allSettled(Array.from({ length: 400 }, () => submit(client, textTo(phone))))
    const lost = responses.filter((response) => response.status === 'rejected').length
    expect(lost).toBeGreaterThan(80)
    expect(lost).toBeLessThan(120)
    expect(simulator.raw()).toHaveLength(400)
    await waitFor(() => receiptsOf(client).length === 400)
    expect(await state()).toMatchObject({ accepted: 400, responses_lost: lost })
  })

  test('latency_jitter_ms: responses are out of order, and none is before the latency', async () => {
    const client = await simulator.bind()
    await settings({ latency_ms: 30, latency_jitter_ms: 100 })
    const order: number[] = []
    const sentAt = performance.now()
    const times = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        await submit(client, textTo(phone))
        order.push(index)
        return performance.now() - sentAt
      }),
    )
    expect(order).not.toEqual(order.toSorted((a, b) => a - b))
    expect(Math.min(...times)).toBeGreaterThanOrEqual(29)
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(20)
  })

  test.each([
    ['ESME_RSUBMITFAIL', status.ESME_RSUBMITFAIL],
    [0x58, status.ESME_RTHROTTLED],
    ['0x00000412', 0x412],
  ])('reject: a share is rejected with %s, and is not in the raw file', async (name, command_status) => {
    const client = await simulator.bind({ window: 200 })
    await settings({ reject: { status: name, percent: 30 } })
    const responses = await Promise.all(Array.from({ length: 200 }, () => submit(client, textTo(phone))))
    const rejected = responses.filter((response) => response.command_status !== 0)
    expect(new Set(rejected.map((response) => response.command_status))).toEqual(new Set([command_status]))
    expect(rejected.length).toBeGreaterThan(45)
    expect(rejected.length).toBeLessThan(75)
    expect(simulator.raw()).toHaveLength(200 - rejected.length)
    await settings({ reject: null })
    expect((await submit(client, textTo(phone))).command_status).toBe(0)
  })
})

describe('drop_after', () => {
  const flood = async (count: number) => {
    const client = await simulator.bind()
    const responses = await Promise.allSettled(Array.from({ length: count }, () => submit(client, textTo(phone))))
    return responses.filter((response) => response.status === 'fulfilled').length
  }

  test('drops a bind within its window; its texts are accepted without a response', async () => {
    await settings({ drop_after: { submits: 30, times: 1 }, latency_ms: 20 })
    expect(await flood(80)).toBe(0)
    await waitFor(async () => (await state()).binds.length === 0)
    expect(simulator.raw()).toHaveLength(30)
    expect(await flood(80)).toBe(80)
    expect(simulator.raw()).toHaveLength(110)
  })

  test('drops every bind without `times`, and counts from the time when the rule is set', async () => {
    const client = await simulator.bind()
    for (let i = 0; i < 5; i++) await submit(client, textTo(phone))
    await settings({ drop_after: { submits: 10 } })
    for (let i = 0; i < 9; i++) await submit(client, textTo(phone))
    await settings({ receipt_delay_ms: 0 })
    await expect(submit(client, textTo(phone))).rejects.toThrow('closed')
    expect(simulator.raw()).toHaveLength(15)
    await flood(20)
    await flood(20)
    expect(simulator.raw()).toHaveLength(35)
  })
})

describe('receipts', () => {
  test('receipts_first and receipt_count: each response follows its two receipts', async () => {
    const client = await simulator.bind()
    await settings({ receipts_first: true, receipt_count: 2, receipt_delay_ms: 5_000 })
    const receiptsById = new Map<string, number>()
    client.session.on('request', (pdu) => {
      if (pdu.command !== 'deliver_sm') return
      const id = pdu.tlvs?.receipted_message_id ?? ''
      receiptsById.set(id, (receiptsById.get(id) ?? 0) + 1)
    })
    await Promise.all(
      Array.from({ length: 30 }, async () => {
        const { message_id } = await submit(client, textTo(phone))
        expect(receiptsById.get(message_id)).toBe(2)
      }),
    )
    expect(await state()).toMatchObject({ receipts: { sent: 60, acknowledged: 60 }, owed: 0 })
  })

  test('receipt_count: this number is sent after the delay, also if the client defers them', async () => {
    const client = await simulator.bind({ responseStatus: status.ESME_RX_T_APPN })
    await settings({ receipt_count: 3, receipt_delay_ms: 10 })
    await submit(client, textTo(phone))
    await waitFor(() => client.delivered.length === 3)
    expect((await state()).owed).toBe(3)
    client.session.destroy()
    const other = await simulator.bind()
    await waitFor(() => other.delivered.length === 3)
    await waitFor(async () => (await state()).owed === 0)
    expect(await state()).toMatchObject({ receipts: { sent: 6, acknowledged: 3 } })
  })

  test('pause_receipts: while it is true, no receipts are sent, but texts of handsets are', async () => {
    const client = await simulator.bind()
    await settings({ pause_receipts: true })
    for (let i = 0; i < 5; i++) await submit(client, textTo(phone))
    await control('POST', '/handsets/2125550142/messages', { to: '12345', content: 'PIZZA' })
    await waitFor(() => mosOf(client).length === 1)
    expect(receiptsOf(client)).toEqual([])
    expect(await state()).toMatchObject({ owed: 5, receipts: { sent: 0 } })
    await settings({ pause_receipts: false })
    await waitFor(() => receiptsOf(client).length === 5)
  })

  test('a text of a handset does not wait behind owed receipts', async () => {
    const sender = await simulator.bind({ bind: 'transmitter', window: 500 })
    await Promise.all(Array.from({ length: 500 }, () => submit(sender, textTo(phone))))
    await control('POST', '/handsets/2125550142/messages', { to: '12345', content: 'STOP' })
    const client = await simulator.bind({ bind: 'receiver' })
    await waitFor(() => client.delivered.length === 501)
    expect(client.delivered.findIndex((pdu) => pdu.esm_class === 0)).toBeLessThan(101)
  })

  test("receipt_error: the codes are in the receipt's text and, if numeric, in network_error_code", async () => {
    const client = await simulator.bind()
    await settings({ receipt_error: { hard: '4720', soft: 'E99', delivered: '902' } })
    for (const ending of ['01', '02', '99']) await submit(client, textTo(`121255501${ending}`))
    await waitFor(() => receiptsOf(client).length === 3)
    expect(receiptsOf(client).map((receipt) => receipt?.err)).toEqual(['4720', 'E99', '902'])
    const codes = client.delivered.map((pdu) => pdu.tlvs?.network_error_code?.toString('hex'))
    expect(codes).toEqual(['031270', undefined, undefined])
    await settings({ receipt_error: { soft: '030' } })
    expect((await control('GET', '/settings')).body).toMatchObject({
      receipt_error: { hard: '4720', soft: '030', delivered: '902' },
    })
  })
})

test.each([
  [{ lose_responses: 101 }, 'lose_responses'],
  [{ latency_jitter_ms: 1.5 }, 'latency_jitter_ms'],
  [{ reject: { status: 'ESME_ROK', percent: 5 } }, 'reject'],
  [{ reject: { status: 'ESME_NONSENSE', percent: 5 } }, 'reject'],
  [{ reject: { status: 8, percent: -1 } }, 'reject'],
  ...[true, [69], ['ESME_RSYSERR'], '69', '', ' 0x45', '0x', {}, null, undefined].map((status): [object, string] => [
    { reject: { status, percent: 5 } },
    'reject',
  ]),
  [{ drop_after: 5 }, 'drop_after'],
  [{ drop_after: { submits: 0 } }, 'drop_after'],
  [{ receipt_count: 0 }, 'receipt_count'],
  [{ receipts_first: 'yes' }, 'receipts_first'],
  [{ pause_receipts: null }, 'pause_receipts'],
  [{ receipt_error: { none: '000' } }, 'receipt_error'],
  [{ receipt_error: { hard: 'a b' } }, 'receipt_error'],
])('an invalid setting rejects the whole body %o', async (body, field) => {
  const before = (await control('GET', '/settings')).body
  const response = await settings({ ...body, echo_reference: false })
  expect(response).toMatchObject({ status: 422, body: { status: 'error', code: 'invalid' } })
  expect(Object.keys((response.body as unknown as { details: object }).details)).toEqual([field])
  expect((await control('GET', '/settings')).body).toEqual(before)
})

test('PUT accepts the settings that GET returns', async () => {
  await settings({
    reject: { status: 0x412, percent: 5 },
    drop_after: { submits: 9 },
    max_binds: 4,
    id_form: 'decimal',
  })
  const body = (await control('GET', '/settings')).body
  expect(body).toMatchObject({ reject: { status: '0x00000412', percent: 5 }, drop_after: { submits: 9, times: null } })
  expect((await control('PUT', '/settings', body)).body).toEqual(body)
})
