import http from 'node:http'
import { describe, expect, test } from 'vitest'
import { mosOf, receiptsOf, submit, textTo, useSimulator } from '../../test/simulator.ts'
import { waitFor } from '../../test/wait-for.ts'
import { BindError } from '../smpp/client.ts'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import { canonicalMessageId } from '../smpp/pdu/receipt-text.ts'
import { decodeShortMessage, encodeParts } from '../sms/parts.ts'

const simulator = useSimulator()
const { control } = simulator

const phone = '12125550199'
const settings = (body: unknown) => control('PATCH', '/settings', body)

describe('settings', () => {
  test('latency_ms delays all responses and preserves their order', async () => {
    const client = await simulator.bind()
    await settings({ latency_ms: 80 })
    const order: number[] = []
    const sentAt = performance.now()
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        await submit(client, textTo(phone))
        order.push(index)
      }),
    )
    expect(performance.now() - sentAt).toBeGreaterThanOrEqual(79)
    expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index))
  })

  test('receipt_delay_ms delays a receipt after its response', async () => {
    const client = await simulator.bind()
    await settings({ latency_ms: 20, receipt_delay_ms: 100 })
    const sentAt = performance.now()
    await submit(client, textTo(phone))
    await waitFor(() => client.delivered.length > 0)
    // not when the test received the response, which a busy machine delays
    expect(performance.now() - sentAt).toBeGreaterThanOrEqual(118)
  })

  test('receipt_mix determines the outcomes of numbers without a fate', async () => {
    const client = await simulator.bind()
    await settings({ receipt_mix: { delivered: 50, hard: 25, soft: 15, none: 10 } })
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 100 }, () => submit(client, textTo(phone))))
    await submit(client, textTo('12125550101'))
    await waitFor(async () => (await control('GET', '/state')).body.owed === 0)
    const outcomes = receiptsOf(client).map((receipt) => `${receipt?.stat} ${receipt?.err}`)
    const count = (outcome: string) => outcomes.filter((value) => value === outcome).length
    expect(count('DELIVRD 000')).toBeGreaterThan(450)
    expect(count('DELIVRD 000')).toBeLessThan(550)
    expect(count('UNDELIV 001')).toBeGreaterThan(200)
    expect(count('UNDELIV 027')).toBeGreaterThan(100)
    expect(outcomes.length).toBeGreaterThan(850)
    expect(outcomes.length).toBeLessThan(950)
  })

  test('throttle accepts at most mps texts per second, and rejected texts are not in the raw file', async () => {
    const client = await simulator.bind()
    await settings({ throttle: { mps: 30 } })
    const responses = await Promise.all(Array.from({ length: 100 }, () => submit(client, textTo(phone))))
    const accepted = responses.filter((response) => response.command_status === status.ESME_ROK)
    expect(accepted).toHaveLength(30)
    expect(responses.every(({ command_status: s }) => s === status.ESME_ROK || s === status.ESME_RTHROTTLED)).toBe(true)
    expect(simulator.raw()).toHaveLength(30)
    await settings({ throttle: null })
    expect((await submit(client, textTo(phone))).command_status).toBe(status.ESME_ROK)
  })

  test('echo_reference and receipt_tlvs remove these TLVs from receipts if they are false', async () => {
    const client = await simulator.bind()
    await settings({ echo_reference: false })
    await submit(client, textTo(phone))
    await waitFor(() => client.delivered.length === 1)
    expect(client.delivered[0]?.tlvs).toMatchObject({ message_state: 2 })
    expect(client.delivered[0]?.tlvs?.user_message_reference).toBeUndefined()
    await settings({ receipt_tlvs: false })
    const { message_id } = await submit(client, textTo(phone))
    await waitFor(() => client.delivered.length === 2)
    expect(client.delivered[1]?.tlvs).toBeUndefined()
    expect(receiptsOf(client)[1]).toMatchObject({ message_id, stat: 'DELIVRD' })
  })

  test.each([
    ['hex_upper', (id: string) => id.toLowerCase()],
    ['hex_padded', (id: string) => canonicalMessageId(id)],
    ['decimal', (id: string) => Number(id).toString(16)],
    ['decimal_padded', (id: string) => Number(id).toString(16)],
  ])('receipt_id_form %s is another spelling of the same id', async (receipt_id_form, toHex) => {
    const client = await simulator.bind()
    await settings({ receipt_id_form })
    const { message_id } = await submit(client, textTo(phone))
    await waitFor(() => client.delivered.length > 0)
    const spelled = receiptsOf(client)[0]?.message_id ?? ''
    expect(spelled).not.toBe(message_id)
    expect(toHex(spelled)).toBe(message_id)
  })

  test('receipt_id_form hex_mixed varies between the hex spellings', async () => {
    const client = await simulator.bind()
    await settings({ receipt_id_form: 'hex_mixed' })
    const ids: string[] = []
    for (let i = 0; i < 32; i++) ids.push((await submit(client, textTo(phone))).message_id)
    await waitFor(() => client.delivered.length === 32)
    const spelled = receiptsOf(client).map((receipt) => receipt?.message_id ?? '')
    expect(spelled.map(canonicalMessageId)).toEqual(ids)
    expect(spelled.some((id, index) => id === ids[index])).toBe(true)
    expect(spelled.some((id) => id.length === 16)).toBe(true)
    expect(spelled.some((id) => id !== id.toLowerCase())).toBe(true)
  })

  test('responding false stops all PDUs on existing and new binds until it is true', async () => {
    const client = await simulator.bind({ responseDeadlineMs: 500 })
    await settings({ latency_ms: 10 })
    await submit(client, textTo(phone))
    await settings({ responding: false })
    await expect(submit(client, textTo('12125550198'))).rejects.toThrow('no response')
    await expect(simulator.bind({ connectTimeoutMs: 100 })).rejects.toThrow()
    expect(simulator.raw()).toHaveLength(1)
    const late = new Promise((resolve) => client.session.once('late', (_, response) => resolve(response)))
    await settings({ responding: true })
    expect(await late).toMatchObject({ command_status: status.ESME_ROK })
    expect(simulator.raw()).toHaveLength(2)
    await waitFor(() => receiptsOf(client).length >= 2)
  })

  test('max_binds rejects a further bind with ESME_RALYBND', async () => {
    await simulator.bind()
    await settings({ max_binds: 1 })
    const error = await simulator.bind().catch((fault) => fault)
    expect(error).toBeInstanceOf(BindError)
    expect(error.command_status).toBe(status.ESME_RALYBND)
  })

  test('PUT changes the initial settings, PATCH the current ones', async () => {
    await settings({ latency_ms: 5 })
    expect((await settings({ receipt_delay_ms: 7 })).body).toMatchObject({ latency_ms: 5, receipt_delay_ms: 7 })
    expect((await control('PUT', '/settings', { latency_ms: 9 })).body).toMatchObject({
      latency_ms: 9,
      receipt_delay_ms: 0,
    })
  })

  test.each([
    [{ latency_ms: -1 }, 'latency_ms'],
    [{ receipt_delay_ms: '5' }, 'receipt_delay_ms'],
    [{ receipt_mix: { delivered: 50 } }, 'receipt_mix'],
    [{ receipt_mix: { delivered: 100, lost: 0 } }, 'receipt_mix'],
    [{ throttle: 5 }, 'throttle'],
    [{ throttle: { mps: 0 } }, 'throttle'],
    [{ responding: 1 }, 'responding'],
    [{ id_form: 'roman' }, 'id_form'],
  ])('an invalid setting rejects the whole body %o', async (body, field) => {
    const response = await settings({ ...body, echo_reference: false })
    expect(response).toMatchObject({ status: 422, body: { status: 'error', code: 'invalid' } })
    expect(Object.keys((response.body as unknown as { details: object }).details)).toEqual([field])
    expect((await control('GET', '/settings')).body).toMatchObject({ latency_ms: 0, echo_reference: true })
  })
})

test('each setting that is a number is accepted at its limits and rejected outside of them', async () => {
  const names = Object.keys((await control('GET', '/settings')).body)
  const { body } = await settings(Object.fromEntries(names.map((name) => [name, -1])))
  const details = Object.entries((body as unknown as { details: Record<string, string[]> }).details)
  const numbers = details.flatMap(([name, [reason = '']]) => {
    const [, minimum, maximum] = /from (\d+) to (\d+)$/.exec(reason) ?? []
    return maximum === undefined ? [] : [{ name, limits: [Number(minimum), Number(maximum)] }]
  })
  expect(numbers.length).toBeGreaterThan(5)
  for (const { name, limits } of numbers) {
    for (const limit of limits) expect((await settings({ [name]: limit })).body).toMatchObject({ [name]: limit })
    const [minimum = 0, maximum = 0] = limits
    for (const value of [minimum - 1, maximum + 1]) expect((await settings({ [name]: value })).status, name).toBe(422)
  }
})

test('an unknown setting is rejected by name', async () => {
  const { body } = await settings({ toString: 1, latency: 5 })
  expect(body).toMatchObject({ details: { toString: ['is not a setting'], latency: ['is not a setting'] } })
})

describe('POST /binds/drop', () => {
  test('drops one bind or all', async () => {
    const first = await simulator.bind()
    const second = await simulator.bind()
    const { binds } = (await control('GET', '/state')).body
    expect(binds).toMatchObject([{ system_id: 'carillon', state: 'bound_trx' }, { state: 'bound_trx' }])
    expect((await control('POST', '/binds/drop', { id: binds[0]?.id })).body).toEqual({ dropped: 1 })
    await waitFor(() => first.session.state === 'closed')
    expect(second.session.state).toBe('bound_trx')
    expect((await control('POST', '/binds/drop')).body).toEqual({ dropped: 1 })
    await waitFor(() => second.session.state === 'closed')
    expect((await control('POST', '/binds/drop', { id: 999 })).status).toBe(404)
  })
})

describe('a handset', () => {
  test('sends an MO and receives the reply', async () => {
    const client = await simulator.bind()
    client.session.on('request', (pdu) => {
      if (pdu.command !== 'deliver_sm' || pdu.esm_class & 0x04) return
      const content = decodeShortMessage(pdu.short_message, pdu.data_coding, pdu.esm_class).text
      const short_message = Buffer.from(`Received ${content}.`)
      client.session.request(textTo(pdu.source_addr, { short_message }), () => {})
    })
    const response = await control('POST', '/handsets/(212)%20555-0142/messages', { to: '12345', content: 'PIZZA' })
    expect(response).toMatchObject({ status: 200, body: { direction: 'MO', short_code: '12345', content: 'PIZZA' } })
    const { body } = await waitFor(async () => {
      const handset = await control('GET', '/handsets/2125550142/messages')
      return handset.body.messages.length === 2 ? handset : undefined
    })
    expect(body).toMatchObject({
      phone_number: '2125550142',
      messages: [
        { direction: 'MO', content: 'PIZZA', short_code: '12345' },
        { direction: 'MT', content: 'Received PIZZA.', short_code: '12345', part_count: 1, complete: true },
      ],
    })
    expect(mosOf(client)).toMatchObject([{ source_addr: '12125550142', destination_addr: '12345' }])
  })

  test('sends a long UCS-2 text in parts with headers as soon as a bind exists', async () => {
    const content = 'Привет 🙏 '.repeat(20)
    await control('POST', '/handsets/2125550142/messages', { to: '12345', content })
    const client = await simulator.bind()
    await waitFor(() => client.delivered.length === 3)
    const parts = mosOf(client).map((mo) => decodeShortMessage(mo.short_message, mo.data_coding, mo.esm_class))
    expect(parts.map((part) => part.concat?.sequence)).toEqual([1, 2, 3])
    expect(parts.map((part) => part.text).join('')).toBe(content)
  })

  test('joins parts in any order, and shows the text as incomplete before the last part', async () => {
    const client = await simulator.bind()
    const content = 'A'.repeat(153) + 'B'.repeat(153) + 'C'.repeat(9)
    const [first, second, third] = encodeParts(content, 9)
    await submit(client, textTo(phone, third))
    await submit(client, textTo(phone, first))
    const readMessages = async () => (await control('GET', '/handsets/2125550199/messages')).body.messages
    expect(await readMessages()).toMatchObject([{ part_count: 3, complete: false }])
    await submit(client, textTo(phone, second))
    expect(await readMessages()).toMatchObject([{ part_count: 3, complete: true, content, direction: 'MT' }])
  })

  test('does not receive a bounced text', async () => {
    const client = await simulator.bind()
    await submit(client, textTo('12125550101'))
    expect((await control('GET', '/handsets/2125550101/messages')).body.messages).toEqual([])
  })

  test.each([
    ['/handsets/123/messages', { to: '12345', content: 'x' }, 422],
    ['/handsets/%zz/messages', { to: '12345', content: 'x' }, 422],
    ['/handsets/2125550142/messages', { to: 'shop', content: 'x' }, 422],
    ['/handsets/2125550142/messages', { to: '12345', content: '' }, 422],
    ['/handsets/2125550142/messages', { to: '12345', content: 'x'.repeat(255 * 153 + 1) }, 422],
    ['/handsets/2125550142/messages', [], 400],
  ])('rejects POST %s %j', async (path, body, expected) => {
    const response = await control('POST', path, body)
    expect(response).toMatchObject({ status: expected, body: { status: 'error' } })
    expect((await control('GET', '/state')).body.owed).toBe(0)
  })
})

test('POST /reset resets counts, settings and owed receipts, but not the raw file', async () => {
  const client = await simulator.bind({ bind: 'transmitter' })
  await settings({ latency_ms: 3 })
  await submit(client, textTo(phone))
  expect((await control('GET', '/state')).body).toMatchObject({ accepted: 1, owed: 1 })
  expect((await control('POST', '/reset')).body).toMatchObject({ accepted: 0, owed: 0, settings: { latency_ms: 0 } })
  expect(simulator.raw()).toHaveLength(1)
})

describe('the control API', () => {
  test('rejects unknown paths, wrong methods, and malformed and oversized bodies', async () => {
    expect((await control('GET', '/nowhere')).status).toBe(404)
    expect((await control('DELETE', '/settings')).status).toBe(405)
    const base = `http://127.0.0.1:${simulator.controlPort()}`
    expect((await fetch(`${base}/settings`, { method: 'PATCH', body: '{' })).status).toBe(400)
    expect((await fetch(`${base}/settings`, { method: 'PATCH', body: 'x'.repeat(70_000) })).status).toBe(413)
  })

  test.each([
    { host: 'carillon.example' },
    { origin: 'http://localhost' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'user-agent': 'Carillon/1.0.0' },
  ])('responds with 403 to %o', async (headers) => {
    const request = http.request({ port: simulator.controlPort(), host: '127.0.0.1', path: '/state', headers })
    const statusCode = await new Promise((resolve, reject) => {
      request.on('response', (response) => resolve(response.resume().statusCode))
      request.on('error', reject)
      request.end()
    })
    expect(statusCode).toBe(403)
  })
})
