import { afterEach, expect, test } from 'vitest'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { wake } from '../../db/wake.ts'

// Caps from end to end: exact by our write times, and with some tolerance by the simulator's arrival times, because its process
// may be delayed while other tests run.

type Sending = Awaited<ReturnType<typeof startSending>>
let sending: Sending
afterEach(() => sending.stop())

const phones = (count: number, from = 2_065_560_001) => Array.from({ length: count }, (_, n) => from + n)

/** The highest number of these times within a sliding second. */
function maxPerSecond(times: readonly number[]): number {
  let max = 0
  for (let first = 0, last = 0; last < times.length; last++) {
    while ((times[last] ?? 0) - (times[first] ?? 0) >= 1_000) first++
    max = Math.max(max, last - first + 1)
  }
  return max
}

async function writeTimes(among: readonly number[] = []): Promise<number[]> {
  const rows = await sending.db.many<{ at: number }>(
    'write_times',
    `select extract(epoch from s.written_at)::float8 * 1000 as at
       from submits s join message_log l on l.id = s.log_id and l.logged_on = s.logged_on
      where l.phone = any($1::bigint[]) or $1::bigint[] = '{}' order by 1`,
    [among],
  )
  return rows.map(({ at }) => at)
}

/** Throws unless all writes, or those to these numbers, were within the cap, and nearly so at the simulator. */
async function expectWithinCap(mps: number, among: readonly number[] = []): Promise<void> {
  expect(maxPerSecond(await writeTimes(among))).toBeLessThanOrEqual(mps)
  const arrivals = sending
    .raw()
    .filter(({ destination }) => among.length === 0 || among.includes(Number(destination.slice(1))))
    .map(({ time }) => time)
  expect(maxPerSecond(arrivals)).toBeLessThanOrEqual(Math.max(mps + 2, mps * 1.1))
}

function secondsElapsed(): number {
  const times = sending.raw().map(({ time }) => time)
  return ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1_000
}

async function updateConnections(assignments: string) {
  await sending.db.tx(async (tx) => {
    await tx.exec(`set ${assignments}`, `update connections set ${assignments}, version = version + 1`)
    await wake(tx, 'connections')
  })
}

test('a connection respects its cap', async () => {
  sending = await startSending({ mps: 100 })
  await sending.subscribe(...phones(200))
  await sending.startGateway()
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { delivered: 200 })
  await expectWithinCap(100)
})

test('three gateways share a cap', async () => {
  sending = await startSending({ mps: 120, binds: 3, leaseMs: 1_500 })
  await sending.subscribe(...phones(30))
  for (let n = 0; n < 3; n++) await sending.startGateway()
  const shares = () =>
    sending.db.many<{ mps: number }>('shares', `select mps from rate_shares where cap like 'connection:%'`)
  await waitFor(async () => (await shares()).filter(({ mps }) => mps === 40).length === 3, { timeoutMs: 8_000 })
  // several broadcasts of one chunk each, so that each gateway leases one
  const ids: number[] = []
  for (let n = 0; n < 6; n++) ids.push(await sending.broadcast(`Parcel ${n} is here.`))
  for (const id of ids) await sending.waitForCounters(id, { delivered: 30 })
  await expectWithinCap(120)
}, 20_000)

test('all texts are sent although the cap is too small to give each gateway a share', async () => {
  sending = await startSending({ mps: 2, binds: 3, leaseMs: 1_500 })
  await sending.subscribe(...phones(2))
  for (let n = 0; n < 3; n++) await sending.startGateway()
  await waitFor(async () => (await sending.db.many('bound', 'select from bind_slots where bound')).length === 3)
  const ids: number[] = []
  for (let n = 0; n < 3; n++) ids.push(await sending.broadcast(`Parcel ${n} is here.`))
  for (const id of ids) await sending.waitForCounters(id, { delivered: 2 })
  await expectWithinCap(2)
}, 20_000)

test('a short code has a cap of its own', async () => {
  sending = await startSending()
  await sending.subscribe(...phones(25))
  await sending.db.exec('cap_code', 'update short_codes set mps = 10 where id = $1', [sending.shortCode.id])
  await sending.startGateway()
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { delivered: 25 })
  await expectWithinCap(10)
  expect(secondsElapsed()).toBeGreaterThan(1.3)
})

test('texts to a capped carrier do not delay later texts to other carriers', async () => {
  sending = await startSending()
  await sending.startGateway()
  await waitFor(async () => (await sending.db.many('bound', 'select from bind_slots where bound')).length === 2)
  await updateConnections(`carrier_mps = '{"31001": 10}'`)
  const [slow, others] = [phones(25), phones(100, 2_065_570_001)]
  await sending.subscribe(...slow, ...others)
  await sending.db.exec(
    'set_carriers',
    'update subscribers set carrier = case when phone = any($1::bigint[]) then 31001 else 31002 end',
    [slow],
  )
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { delivered: 125 })
  const raw = sending.raw().map(({ destination }) => Number(destination.slice(1)))
  expect(raw.lastIndexOf(others.at(-1) as number)).toBeLessThan(115)
  await expectWithinCap(10, slow)
  expect(secondsElapsed()).toBeGreaterThan(1.3)
})

test('lowering and lifting a cap during a broadcast takes effect immediately', async () => {
  sending = await startSending({ mps: 200 })
  await sending.subscribe(...phones(500))
  await sending.startGateway()
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length > 50)
  await updateConnections('mps = 20')
  const loweredAt = Date.now()
  await waitFor(() => (sending.raw().at(-1)?.time ?? 0) > loweredAt + 2_700)
  await updateConnections('mps = null')
  const liftedAt = Date.now()
  await sending.waitForCounters(id, { delivered: 500 }, 3_000)
  const slow = (await writeTimes()).filter((time) => time > loweredAt + 1_000 && time < liftedAt)
  expect(slow.length).toBeGreaterThan(20)
  expect(maxPerSecond(slow)).toBeLessThanOrEqual(20)
})
