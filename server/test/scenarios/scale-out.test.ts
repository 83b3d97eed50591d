import { afterAll, describe, expect, onTestFailed, test } from 'vitest'
import { signal } from '../../src/supervisor/processes.ts'
import { waitFor } from '../wait-for.ts'
import { Installation } from './installation.ts'
import { phonesFrom } from './random-faults.ts'
import { isSettled, phoneOf, readSubmits, reconcile, Sampler, SubmitCounter } from './reconcile.ts'
import { chunksOf, startSecondGateway } from './second-gateway.ts'
import { makeList, sendBroadcast } from './texting.ts'

// Two gateways and two workers on one database share the binds and the work. When one of each is killed, the others take
// over its binds and work within ten seconds.

const isLong = process.env.CARILLON_TEST_FORM === 'long'
const recipients = isLong ? 40_000 : 6_000
const leaseMs = isLong ? 5_000 : 2_000
const binds = 4
const window = 50

describe.skipIf(process.platform !== 'linux')('two gateways and two workers', () => {
  let installation: Installation | undefined
  afterAll(() => installation?.destroy())

  test('share the work, and take over the work of a killed process', { timeout: 120_000 }, async () => {
    onTestFailed(() => console.error(installation?.logTails()))
    installation = await Installation.open({ binds, window, latencyMs: 100, leaseMs })
    const phones = phonesFrom(2_126_000_000, recipients)
    const [listId, second] = await Promise.all([
      makeList(installation, 'All subscribers', phones),
      startSecondGateway(installation),
    ])
    const worker = installation.startSecond('worker')
    const client = await installation.connect()
    const bound = async (gateway: string) => {
      const slots = 'select from bind_slots where leased_by = $1 and bound and lease_until > clock_timestamp()'
      return (await client.query(slots, [gateway])).rowCount
    }
    const workers = `select from heartbeats where role = 'worker' and seen_at > clock_timestamp() - interval '3 seconds'`
    await waitFor(async () => (await client.query(workers)).rowCount === 2, { what: 'the second worker' })
    for (const id of [second.id, second.firstId]) {
      await waitFor(async () => (await bound(id)) === binds / 2, { what: 'each gateway to have half of the binds' })
    }

    const content = 'Both bridges are open'
    const counter = new SubmitCounter(installation)
    const messageId = await sendBroadcast(installation, listId, content)
    const sampler = new Sampler(installation, messageId)
    await waitFor(() => counter.count > recipients / 10, { timeoutMs: 10_000, what: 'the first texts' })
    const leased = await waitFor(
      async () => {
        const [ofFirst, ofSecond] = await Promise.all(
          [second.firstId, second.id].map((id) => chunksOf(installation as Installation, id)),
        )
        return ofFirst?.length ? ofSecond?.length && ofSecond : false
      },
      { what: 'each gateway to lease a chunk' },
    )
    signal(second.pid, 'SIGKILL')
    signal(worker, 'SIGKILL')
    const killedAt = Date.now()
    const { rows } = await client.query<{ phone: string }>(
      `select l.phone from send_chunks c
         join message_log l on l.id between c.first_log_id and c.last_log_id and l.message_id = c.message_id
        where c.id = any($1::bigint[]) and l.state = 'queued'`,
      [leased],
    )
    const unsent = new Set(rows.map(({ phone }) => Number(phone)))
    expect(unsent.size, 'queued texts of the killed gateway').toBeGreaterThan(0)

    await waitFor(async () => (await bound(second.firstId)) === binds, {
      timeoutMs: 10_000,
      what: 'the other gateway to have all binds',
    })
    const slotsAfterMs = Date.now() - killedAt
    await waitFor(() => isSettled(client, messageId), { timeoutMs: 60_000, what: 'all texts to settle' })
    await sampler.stop()
    const next = readSubmits(installation, content).find(
      (text) => text.time > killedAt + 20 && unsent.has(phoneOf(text)),
    )
    const resumedAfterMs = (next?.time ?? Number.POSITIVE_INFINITY) - killedAt
    console.log(
      `after the kill: all binds in ${slotsAfterMs} ms, the next text of the killed gateway in ${resumedAfterMs} ms`,
    )
    expect(resumedAfterMs).toBeLessThan(10_000)

    const { faults, counts } = await reconcile(installation, client, { messageId, content, phones })
    expect([...sampler.faults, ...faults]).toEqual([])
    // two windows per bind of the killed gateway
    expect(counts.unknown).toBeLessThanOrEqual(2 * (binds / 2) * window)
    await client.end()
    expect(await installation.stop()).toBe(0)
  })
})
