import { describe, expect, test } from 'vitest'
import { mosOf, receiptsOf, submit, textTo, useSimulator } from '../../test/simulator.ts'
import { waitFor } from '../../test/wait-for.ts'
import { BindError } from '../smpp/client.ts'
import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import { querySm } from '../smpp/pdu/pdu.ts'
import { decodeShortMessage, encodeParts } from '../sms/parts.ts'

const simulator = useSimulator()

const number = (lastTwo: string) => `121255501${lastTwo}`
const plain = number('99')

describe('fates', () => {
  test('a number without a fate is delivered, with an id, a receipt with that id, and a line in the raw file', async () => {
    const client = await simulator.bind()
    const response = await submit(client, textTo(plain))
    expect(response.command_status).toBe(status.ESME_ROK)
    await waitFor(() => client.delivered.length > 0)
    expect(receiptsOf(client)).toMatchObject([
      { message_id: response.message_id, stat: 'DELIVRD', err: '000', text: 'Hello there' },
    ])
    expect(client.delivered[0]).toMatchObject({
      source_addr: plain,
      destination_addr: '12345',
      esm_class: 0x04,
      tlvs: { receipted_message_id: response.message_id, message_state: 2, user_message_reference: 4711 },
    })
    expect(simulator.raw()).toEqual([
      {
        time: expect.any(Number),
        smscId: response.message_id,
        destination: plain,
        source: '12345',
        esmClass: 0,
        dataCoding: 0,
        registeredDelivery: 1,
        userMessageReference: 4711,
        shortMessage: Buffer.from('Hello there').toString('hex'),
      },
    ])
  })

  test.each([
    ['00', 'a landline bounces hard', '001'],
    ['01', 'a hard bounce', '001'],
    ['02', 'a soft bounce', '027'],
  ])('555-01%s: %s', async (lastTwo, _name, err) => {
    const client = await simulator.bind()
    const { message_id } = await submit(client, textTo(number(lastTwo)))
    await waitFor(() => client.delivered.length > 0)
    expect(receiptsOf(client)).toMatchObject([{ message_id, stat: 'UNDELIV', err }])
    expect(client.delivered[0]?.tlvs).toMatchObject({ message_state: 5, network_error_code: expect.any(Buffer) })
  })

  test('555-0103: accepted without a receipt', async () => {
    const client = await simulator.bind()
    expect((await submit(client, textTo(number('03')))).command_status).toBe(status.ESME_ROK)
    await submit(client, textTo(plain))
    await waitFor(() => client.delivered.length > 0)
    expect(client.delivered[0]?.source_addr).toBe(plain)
    expect((await simulator.control('GET', '/state')).body).toMatchObject({ accepted: 2, owed: 0 })
  })

  test('555-0104: each text is throttled twice and then accepted', async () => {
    const client = await simulator.bind()
    const statuses: number[] = []
    for (let i = 0; i < 6; i++) statuses.push((await submit(client, textTo(number('04')))).command_status)
    const { ESME_ROK, ESME_RTHROTTLED } = status
    expect(statuses).toEqual([ESME_RTHROTTLED, ESME_RTHROTTLED, ESME_ROK, ESME_RTHROTTLED, ESME_RTHROTTLED, ESME_ROK])
    const other = textTo(number('04'), { short_message: Buffer.from('Another') })
    expect((await submit(client, other)).command_status).toBe(ESME_RTHROTTLED)
    expect(simulator.raw()).toHaveLength(2)
    expect((await simulator.control('GET', '/state')).body).toMatchObject({ accepted: 2, throttled: 5 })
  })

  test('555-0105: no response, but a line in the raw file and a receipt with its reference', async () => {
    const client = await simulator.bind({ responseDeadlineMs: 200 })
    await expect(submit(client, textTo(number('05')))).rejects.toThrow('no response')
    await waitFor(() => client.delivered.length > 0)
    const [line] = simulator.raw()
    expect(receiptsOf(client)).toMatchObject([{ message_id: line?.smscId, stat: 'DELIVRD' }])
    expect(client.delivered[0]?.tlvs?.user_message_reference).toBe(4711)
    expect((await simulator.control('GET', '/state')).body).toMatchObject({ accepted: 1, responses_lost: 1 })
  })

  test.each([
    ['06', 'STOP'],
    ['07', 'YES'],
  ])(
    '555-01%s: delivered; the handset replies %s after a second, but not to the confirmation of its reply',
    async (lastTwo, word) => {
      const client = await simulator.bind()
      const [first, last] = encodeParts('A'.repeat(200), 7)
      const sentAt = performance.now()
      await submit(client, textTo(number(lastTwo), first))
      await submit(client, textTo(number(lastTwo), last))
      const [mo] = await waitFor(() => (mosOf(client).length > 0 ? mosOf(client) : undefined))
      expect(performance.now() - sentAt).toBeGreaterThan(990)
      expect(mo).toMatchObject({ source_addr: number(lastTwo), destination_addr: '12345', esm_class: 0 })
      expect(decodeShortMessage(mo?.short_message ?? Buffer.alloc(0), 0, 0).text).toBe(word)
      expect(receiptsOf(client)).toHaveLength(2)

      await submit(client, textTo(number(lastTwo), { short_message: Buffer.from('You are out.') }))
      await waitFor(() => receiptsOf(client).length === 3)
      expect((await simulator.control('GET', '/state')).body).toMatchObject({
        owed: 0,
        mos: { sent: 1, acknowledged: 1 },
      })
    },
  )

  test('555-0108: its receipt is still owed when the receipt of a later text is acknowledged', async () => {
    const client = await simulator.bind()
    await submit(client, textTo(number('08')))
    await submit(client, textTo(plain))
    await waitFor(() => client.delivered.length > 0)
    expect(client.delivered[0]?.source_addr).toBe(plain)
    expect((await simulator.control('GET', '/state')).body.owed).toBe(1)
  })

  test('555-0109: two receipts, both before the response', async () => {
    const client = await simulator.bind()
    const order: string[] = []
    client.session.on('request', () => order.push('receipt'))
    const { message_id } = await submit(client, textTo(number('09')))
    order.push('response')
    expect(order).toEqual(['receipt', 'receipt', 'response'])
    expect(receiptsOf(client).map((receipt) => receipt?.message_id)).toEqual([message_id, message_id])
  })

  test('555-0109: gets its response even if no bind receives receipts', async () => {
    const client = await simulator.bind({ bind: 'transmitter' })
    expect((await submit(client, textTo(number('09')))).command_status).toBe(status.ESME_ROK)
  })

  test('555-0110: rejected, and not in the raw file', async () => {
    const client = await simulator.bind()
    const response = await submit(client, textTo(number('10')))
    expect(response).toMatchObject({ command_status: status.ESME_RINVDSTADR, message_id: '' })
    expect(simulator.raw()).toEqual([])
    expect((await simulator.control('GET', '/state')).body).toMatchObject({ accepted: 0, rejected: 1 })
  })

  test('malformed addresses: rejected', async () => {
    const client = await simulator.bind()
    expect((await submit(client, textTo('not-a-number'))).command_status).toBe(status.ESME_RINVDSTADR)
    expect((await submit(client, textTo(plain, { source_addr: '1\t2' }))).command_status).toBe(status.ESME_RINVSRCADR)
    expect(simulator.raw()).toEqual([])
  })
})

describe('receipts', () => {
  test('are sent as registered_delivery requests: none, or failures only', async () => {
    const client = await simulator.bind()
    await submit(client, textTo(plain, { registered_delivery: 0 }))
    await submit(client, textTo(plain, { registered_delivery: 2 }))
    await submit(client, textTo(number('01'), { registered_delivery: 2 }))
    await waitFor(() => client.delivered.length > 0)
    expect(receiptsOf(client)).toMatchObject([{ stat: 'UNDELIV' }])
    expect((await simulator.control('GET', '/state')).body.owed).toBe(0)
  })

  test('wait for a receiving bind', async () => {
    const sender = await simulator.bind({ bind: 'transmitter' })
    const { message_id } = await submit(sender, textTo(plain))
    const receiver = await simulator.bind({ bind: 'receiver' })
    await waitFor(() => receiver.delivered.length > 0)
    expect(receiptsOf(receiver)).toMatchObject([{ message_id }])
    expect(sender.delivered).toEqual([])
    expect((await simulator.control('GET', '/state')).body).toMatchObject({ receipts: { sent: 1 } })
  })

  test('are sent again after a bind is dropped without acknowledging them', async () => {
    const first = await simulator.bind({ responseStatus: null })
    const ids = new Set<string>()
    for (let i = 0; i < 5; i++) ids.add((await submit(first, textTo(plain))).message_id)
    await waitFor(() => first.delivered.length === 5)
    first.session.destroy()
    const second = await simulator.bind()
    await waitFor(() => second.delivered.length === 5)
    expect(new Set(receiptsOf(second).map((receipt) => receipt?.message_id))).toEqual(ids)
    await waitFor(async () => (await simulator.control('GET', '/state')).body.owed === 0)
  })

  test('are sent again to a client that responds with a retry status', async () => {
    const client = await simulator.bind({ responseStatus: status.ESME_RX_T_APPN })
    await submit(client, textTo(plain))
    await waitFor(() => client.delivered.length >= 2)
    expect((await simulator.control('GET', '/state')).body).toMatchObject({ receipts: { acknowledged: 0 }, owed: 1 })
  })

  test('are sent by the next run after a restart if they are unacknowledged', async () => {
    const transmitter = await simulator.bind({ bind: 'transmitter' })
    const first = await submit(transmitter, textTo(plain))
    const client = await simulator.bind()
    await waitFor(() => client.delivered.length === 1)
    await waitFor(async () => (await simulator.control('GET', '/state')).body.owed === 0)
    client.session.destroy()
    await waitFor(async () => (await simulator.control('GET', '/state')).body.binds.length === 1)
    const second = await submit(transmitter, textTo(number('01')))
    await simulator.stop()
    await simulator.start()

    const later = await simulator.bind()
    await waitFor(() => later.delivered.length > 0)
    expect(receiptsOf(later)).toMatchObject([{ message_id: second.message_id, stat: 'UNDELIV', text: 'Hello there' }])
    expect(later.delivered[0]?.tlvs?.user_message_reference).toBe(4711)
    const third = await submit(later, textTo(plain))
    expect(new Set([first.message_id, second.message_id, third.message_id]).size).toBe(3)
    await waitFor(() => later.delivered.length === 2)
    expect(simulator.raw().map((line) => line.smscId)).toEqual([first.message_id, second.message_id, third.message_id])
  })

  test('are not owed by the next run if the mix suppressed them', async () => {
    const client = await simulator.bind()
    await simulator.control('PATCH', '/settings', { receipt_mix: { none: 100 } })
    await submit(client, textTo(plain))
    await simulator.stop()
    await simulator.start()
    expect((await simulator.control('GET', '/state')).body.owed).toBe(0)
  })

  test('do not exceed the window of the bind', async () => {
    const client = await simulator.bind({ responseStatus: null, window: 200 })
    await Promise.all(Array.from({ length: 150 }, () => submit(client, textTo(plain))))
    await waitFor(() => client.delivered.length >= 100)
    expect((await simulator.control('GET', '/state')).body).toMatchObject({ receipts: { sent: 100 }, owed: 150 })
  })
})

describe('the raw file', () => {
  test('contains the line when the response arrives', async () => {
    const client = await simulator.bind()
    const lines = await new Promise((resolve) => {
      client.session.request(textTo(plain), () => resolve(simulator.raw().length))
    })
    expect(lines).toBe(1)
  })

  test('contains every text that got a response before the bind was dropped', async () => {
    const client = await simulator.bind({ window: 500 })
    const responded = new Set<string>()
    const sent = 2_000
    let submitted = 0
    const fill = () => {
      while (submitted < sent && client.session.free > 0) {
        client.session.request(textTo(`1212${String(6_000_000 + submitted++)}`), (outcome) => {
          if (outcome.kind === 'response' && outcome.pdu.command === 'submit_sm_resp') {
            responded.add(outcome.pdu.message_id)
            if (responded.size === 700) client.session.destroy()
          }
        })
      }
    }
    client.session.on('drain', fill)
    fill()
    await waitFor(() => client.session.state === 'closed')
    const written = simulator.raw()
    const ids = new Set(written.map((line) => line.smscId))
    expect(ids.size).toBe(written.length)
    expect([...responded].filter((id) => !ids.has(id))).toEqual([])
    expect(written.length).toBeLessThanOrEqual(submitted)
    expect(written.map((line) => line.destination)).toEqual(
      Array.from({ length: written.length }, (_, index) => `1212${6_000_000 + index}`),
    )
  })

  test('stores message_payload as the text', async () => {
    const client = await simulator.bind()
    const tlvs = { message_payload: Buffer.from('payload') }
    await submit(client, textTo(plain, { short_message: Buffer.alloc(0), tlvs }))
    const [line] = simulator.raw()
    expect(line).toMatchObject({ shortMessage: Buffer.from('payload').toString('hex') })
    expect(line?.userMessageReference).toBeUndefined()
  })
})

describe('binds', () => {
  test.each([
    [{ system_id: 'stranger' }, status.ESME_RINVSYSID],
    [{ password: 'wrong' }, status.ESME_RINVPASWD],
  ])('with %o are rejected', async (credentials, command_status) => {
    const error = await simulator.bind(credentials).catch((fault) => fault)
    expect(error).toBeInstanceOf(BindError)
    expect(error.command_status).toBe(command_status)
  })

  test('get pending responses before stop() unbinds them', async () => {
    const { session } = await simulator.bind()
    await simulator.control('PATCH', '/settings', { latency_ms: 60_000 })
    const response = session.send(textTo(plain))
    await waitFor(() => simulator.raw().length === 1)
    await simulator.stop()
    expect((await response).command_status).toBe(status.ESME_ROK)
    expect(session.state).not.toBe('bound_trx')
    await simulator.start()
  })

  test.each([{ latency_ms: 60_000 }, { latency_ms: 0, latency_jitter_ms: 60_000 }, { receipts_first: true }])(
    'get immediate responses to later texts during stop(), with %j',
    async (settings) => {
      const { session } = await simulator.bind({ responseStatus: null })
      // an unresponsive bind delays the stop
      const other = await simulator.bind({ responseStatus: null })
      await simulator.control('PATCH', '/settings', settings)
      const stopping = simulator.stop()
      const response = await session.send(textTo(plain))
      expect(response.command_status).toBe(status.ESME_ROK)
      other.session.destroy()
      session.destroy()
      await stopping
      await simulator.start()
    },
  )

  test('get ESME_RQUERYFAIL for a query_sm of an unknown message', async () => {
    const { session } = await simulator.bind()
    const response = await session.send(querySm({ message_id: 'abc', source_addr: '12345' }))
    expect(response.command_status).toBe(status.ESME_RQUERYFAIL)
  })
})
