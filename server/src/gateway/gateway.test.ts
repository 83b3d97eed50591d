import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { listWrongCounts } from '../../test/number-ranges.ts'
import { listQueued } from '../../test/queued.ts'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSubmitting } from '../log/marks.queries.ts'

type Sending = Awaited<ReturnType<typeof startSending>>
let sending: Sending

const textsTo = (phone: number) => sending.raw().filter((record) => record.destination === `1${phone}`)

describe('a broadcast to simulated phones', () => {
  let gateway: Awaited<ReturnType<Sending['startGateway']>>
  beforeEach(async () => {
    sending = await startSending({ responseDeadlineMs: 400 })
    gateway = await sending.startGateway()
  })
  afterEach(() => sending.stop())

  test('has the outcome that the fate of each number determines, with exact counters', async () => {
    await sending.control('PATCH', '/settings', { receipt_delay_ms: 5 })
    const phones = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12].map((n) => 2_065_550_100 + n)
    await sending.subscribe(...phones)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { audience: 10, delivered: 5, bounced: 4, sent: 1, unknown: 0 })
    expect(await sending.states(id)).toEqual({
      2065550100: 'bounced hard',
      2065550101: 'bounced hard',
      2065550102: 'bounced soft',
      2065550103: 'sent',
      2065550104: 'delivered',
      2065550105: 'delivered',
      2065550109: 'delivered',
      2065550110: 'bounced hard',
      2065550111: 'delivered',
      2065550112: 'delivered',
    })
    // nobody gets two texts: a throttled text is accepted once, and a text whose response was lost is not sent again
    const destinations = sending.raw().map((record) => record.destination)
    expect(new Set(destinations).size).toBe(destinations.length)
    await waitFor(async () => {
      const sql = `select from messages where id = $1 and status = 'sent' and sent_at is not null`
      return (await sending.db.exec('is_sent', sql, [id])) === 1
    })
  })

  test('cleans a number that the carrier reports as dead, in the list, the ledger and the counts', async () => {
    await sending.subscribe(2_065_550_101, 2_065_550_110, 2_065_560_001)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { delivered: 1, bounced: 2, cleanCount: 2 })
    const states = await sending.db.many(
      'states_of_list',
      'select phone, state from subscribers where list_id = $1 order by phone',
      [sending.list.id],
    )
    expect(states).toEqual([
      { phone: 2_065_550_101, state: 'cleaned' },
      { phone: 2_065_550_110, state: 'cleaned' },
      { phone: 2_065_560_001, state: 'subscribed' },
    ])
    const opts = await sending.db.many(
      'cleaned_opts',
      `select phone, method from opts where kind = 'cleaned' order by phone`,
    )
    expect(opts).toEqual([
      { phone: 2_065_550_101, method: 'carrier' },
      { phone: 2_065_550_110, method: 'carrier' },
    ])
    const counts = await sending.db.one(
      'list_counts',
      'select sum(subscribed)::int as subscribed, sum(cleaned)::int as cleaned from list_deltas where list_id = $1',
      [sending.list.id],
    )
    expect(counts).toEqual({ subscribed: 1, cleaned: 2 })
    expect(await listWrongCounts(sending.db)).toEqual([])
  })

  test.each([
    ['udh16', 4],
    ['sar', 3],
    ['payload', 1],
  ])('delivers a text of three parts as %s', async (longText, pdus) => {
    // the next gateway starts with the changed connection
    await gateway.stop()
    const set = `update connections set long_text = '${longText}', charset = 'latin1', version = version + 1`
    await sending.db.exec('set', set)
    await sending.startGateway()
    const phone = 2_065_560_001
    await sending.subscribe(phone)
    const content = `Olé ${'x'.repeat(455)}`
    const id = await sending.broadcast(content)
    await sending.waitForCounters(id, { delivered: 1 })
    expect(textsTo(phone)).toHaveLength(pdus)
    const { parts } = await sending.db.one<{ parts: number }>('parts', 'select part_count as parts from message_log')
    expect(parts).toBe(longText === 'udh16' ? 4 : 3)
    const handset = await sending.control('GET', `/handsets/${phone}/messages`)
    expect(JSON.stringify(handset)).toContain(content)
  })

  test('sends a long text in parts, which is delivered when all parts are', async () => {
    await sending.subscribe(2_065_560_001, 2_065_560_002)
    const id = await sending.broadcast(`${'a'.repeat(152)}€${'b'.repeat(200)}`)
    await sending.waitForCounters(id, { delivered: 2 })
    const parts = textsTo(2_065_560_001)
    expect(parts.map((part) => part.esmClass & 0x40)).toEqual([0x40, 0x40, 0x40])
    const headers = parts.map((part) => Buffer.from(part.shortMessage, 'hex').subarray(0, 6))
    expect(headers.map((header) => [header[4], header[5]])).toEqual([
      [3, 1],
      [3, 2],
      [3, 3],
    ])
    expect(new Set(headers.map((header) => header[3])).size).toBe(1)
  })
})

describe('a gateway', () => {
  afterEach(() => sending.stop())

  test('that replaces a dead one marks the texts unknown that were submitting, and sends the others', async () => {
    sending = await startSending()
    const phones = Array.from({ length: 30 }, (_, n) => 2_065_560_001 + n)
    await sending.subscribe(...phones)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { queued: 30 })
    // the first gateway leases the chunk, marks ten texts and dies before it writes a PDU
    const claim = { owner: crypto.randomUUID(), leaseMs: 300, now: new Date(), fromLane: 2, toLane: 2, limit: 1 }
    const [chunk] = await claimChunks(sending.db, claim)
    if (!chunk) throw new Error('there was no chunk to lease')
    const queued = await listQueued(sending.db, chunk)
    expect(await markSubmitting(sending.db, chunk, queued.slice(0, 10), new Date())).toHaveLength(10)
    await sending.startGateway()
    await sending.waitForCounters(id, { delivered: 20, unknown: 10 })
    expect(sending.raw()).toHaveLength(20)
    // it can mark no more texts once another gateway has leased the chunk
    expect(await markSubmitting(sending.db, chunk, queued.slice(10, 20), new Date())).toEqual([])
  })

  test('that loses its bind leaves texts in flight unknown until their receipts arrive', async () => {
    sending = await startSending({ latencyMs: 150, window: 10, binds: 1 })
    await sending.control('PATCH', '/settings', { receipt_delay_ms: 700 })
    await sending.startGateway()
    await sending.subscribe(...Array.from({ length: 40 }, (_, n) => 2_065_560_001 + n))
    const id = await sending.broadcast()
    await waitFor(() => sending.raw().length >= 10)
    await sending.control('POST', '/binds/drop', {})
    await waitFor(async () => (await sending.counters(id)).unknown > 0, { what: 'unknown texts' })
    await sending.waitForCounters(id, { delivered: 40, unknown: 0 })
    expect(sending.raw()).toHaveLength(40)
  })

  test('matches a receipt without our reference by phone, time and excerpt', async () => {
    sending = await startSending({ responseDeadlineMs: 200 })
    await sending.control('PATCH', '/settings', { echo_reference: false })
    await sending.startGateway()
    await sending.subscribe(2_065_550_105)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { delivered: 1 })
    expect(await sending.db.one('outcome', 'select outcome from receipts')).toEqual({
      outcome: 'settled',
    })
  })

  test('shares a broadcast with another one, and each recipient gets one text', async () => {
    sending = await startSending({ window: 20, latencyMs: 5 })
    await make.subscribers(sending.db, { listId: sending.list.id, count: 9_999 })
    await Promise.all([sending.startGateway(), sending.startGateway()])
    const shared = 'select distinct leased_by from bind_slots where bound'
    await waitFor(async () => (await sending.db.exec('shared', shared)) === 2, { what: 'a slot for each' })
    const id = await sending.broadcast()
    // three runs on two cores at a load of 12 took 11, 17 and 34 s
    await sending.waitForCounters(id, { delivered: 9_999 }, 60_000)
    expect(new Set(sending.raw().map((record) => record.destination)).size).toBe(9_999)
    expect(sending.raw()).toHaveLength(9_999)
    const gateways = await sending.db.many('gateways', 'select distinct leased_by from send_chunks')
    expect(gateways).toHaveLength(2)
  }, 90_000)

  test('that is stopped waits for the responses to texts in flight, and the other texts stay queued', async () => {
    sending = await startSending({ latencyMs: 50, window: 5, binds: 1 })
    const gateway = await sending.startGateway()
    await sending.subscribe(...Array.from({ length: 60 }, (_, n) => 2_065_560_001 + n))
    const id = await sending.broadcast()
    await waitFor(() => sending.raw().length >= 10)
    await gateway.stop()
    const counters = await sending.counters(id)
    expect(counters.submitting + counters.unknown).toBe(0)
    expect(counters.queued).toBe(60 - sending.raw().length)
    await sending.startGateway()
    await sending.waitForCounters(id, { delivered: 60 })
  })

  test('writes no more PDUs in any second than the cap allows', async () => {
    sending = await startSending({ mps: 40 })
    await sending.startGateway()
    await sending.subscribe(...Array.from({ length: 100 }, (_, n) => 2_065_560_001 + n))
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { delivered: 100 })
    const times = sending.raw().map((record) => record.time)
    // the times are those of the simulator, which receives PDUs a few milliseconds after the gateway writes them
    times.forEach((time, n) => {
      if (n >= 42) expect(time - (times[n - 42] as number)).toBeGreaterThanOrEqual(950)
    })
  })
})
