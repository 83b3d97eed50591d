import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { wake } from '../db/wake.ts'

// Caps from end to end, judged by what the simulator took and when: it may see 3 % or two texts more in a second than
// left in one.

type Sending = Awaited<ReturnType<typeof startSending>>
let sending: Sending
afterEach(() => sending.stop())

const phones = (count: number, from = 2_065_560_001) => Array.from({ length: count }, (_, n) => from + n)

/** The most of what was taken, all or to these numbers, within a second. */
function fullestSecond(among: (phone: number) => boolean = () => true): number {
  const times = sending.raw().filter(({ destination }) => among(Number(destination.slice(1))))
  let most = 0
  for (let first = 0, last = 0; last < times.length; last++) {
    while ((times[last]?.time ?? 0) - (times[first]?.time ?? 0) >= 1_000) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}

function secondsTaken(): number {
  const times = sending.raw().map(({ time }) => time)
  return ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1_000
}

async function set(assignments: string) {
  await sending.db.tx(async (tx) => {
    await tx.exec(`set ${assignments}`, `update connections set ${assignments}, version = version + 1`)
    await wake(tx, 'connections')
  })
}

test('a connection sends as much as its cap lets it, from the first moment on', async () => {
  sending = await startSending({ mps: 100 })
  await sending.subscribe(...phones(200))
  await sending.startGateway()
  const id = await sending.broadcast()
  const postedAt = Date.now()
  await sending.untilCounted(id, { delivered: 200 })
  expect((sending.raw()[0]?.time ?? 0) - postedAt).toBeLessThan(1_000)
  expect(fullestSecond()).toBeLessThanOrEqual(103)
  // the first second begins at once, and what is left takes another
  expect(secondsTaken()).toBeLessThan(2.2)
})

test('three gateways share a cap, and one that is idle is soon ready to send', async () => {
  sending = await startSending({ mps: 90, binds: 3, leaseMs: 1_500 })
  await sending.subscribe(...phones(60))
  for (let n = 0; n < 3; n++) await sending.startGateway()
  const shares = () =>
    sending.db.many<{ mps: number }>('shares', `select mps from rate_shares where cap like 'connection:%'`)
  await waitFor(async () => (await shares()).filter(({ mps }) => mps === 30).length === 3, { timeoutMs: 8_000 })
  // a chunk each, so that all have work
  const ids: number[] = []
  for (let n = 0; n < 6; n++) ids.push(await sending.broadcast(`Parcel ${n} is here.`))
  for (const id of ids) await sending.untilCounted(id, { delivered: 60 })
  expect(fullestSecond()).toBeLessThanOrEqual(92)
  expect(secondsTaken()).toBeLessThan(6)
}, 20_000)

test('a short code has a cap of its own', async () => {
  sending = await startSending()
  await sending.subscribe(...phones(25))
  await sending.db.exec('cap_code', 'update short_codes set mps = 10 where id = $1', [sending.shortCode.id])
  await sending.startGateway()
  const id = await sending.broadcast()
  await sending.untilCounted(id, { delivered: 25 })
  expect(fullestSecond()).toBeLessThanOrEqual(12)
  expect(secondsTaken()).toBeGreaterThan(1.3)
})

test('texts to a capped carrier wait, and those behind them in the list do not', async () => {
  sending = await startSending()
  await sending.startGateway()
  await waitFor(async () => (await sending.db.many('bound', 'select from bind_slots where bound')).length === 2)
  await set(`carrier_mps = '{"31001": 10}'`)
  const [slow, others] = [phones(25), phones(100, 2_065_570_001)]
  await sending.subscribe(...slow, ...others)
  await sending.db.exec(
    'set_carriers',
    'update subscribers set carrier = case when phone = any($1::bigint[]) then 31001 else 31002 end',
    [slow],
  )
  const id = await sending.broadcast()
  await sending.untilCounted(id, { delivered: 125 })
  const raw = sending.raw().map(({ destination }) => Number(destination.slice(1)))
  expect(raw.lastIndexOf(others.at(-1) as number)).toBeLessThan(115)
  expect(fullestSecond((phone) => slow.includes(phone))).toBeLessThanOrEqual(12)
  expect(secondsTaken()).toBeGreaterThan(1.3)
})

test('a cap that is set, lowered and lifted while texts go out is kept to at once', async () => {
  sending = await startSending({ mps: 200 })
  await sending.subscribe(...phones(500))
  await sending.startGateway()
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length > 50)
  await set('mps = 20')
  await sleep(1_500)
  const before = sending.raw().length
  await sleep(1_000)
  expect(sending.raw().length - before).toBeLessThanOrEqual(22)
  expect(sending.raw().length - before).toBeGreaterThanOrEqual(15)
  await set('mps = null')
  await sending.untilCounted(id, { delivered: 500 }, 2_000)
})
