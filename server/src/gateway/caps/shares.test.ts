import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { ShareSimulation } from '../../../test/share-simulation.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { Caps } from './caps.ts'
import { shareTable } from './shares.queries.ts'
import { divide, Shares } from './shares.ts'

type ClaimTuple = [gateway: string, mps: number, needsTokens: boolean]
const divided = (mps: number, ...claims: ClaimTuple[]) =>
  Object.fromEntries(
    divide(
      mps,
      claims.map(([gateway, share, needsTokens]) => ({ gateway, mps: share, needsTokens })),
    ),
  )

describe('divide', () => {
  test('returns equal shares for gateways that need tokens, and a hundredth of the cap for all others together', () => {
    expect(divided(1_000, ['a', 0, true])).toEqual({ a: 1_000 })
    expect(divided(1_000, ['a', 0, true], ['b', 0, true], ['c', 0, true])).toEqual({ a: 334, b: 333, c: 333 })
    expect(divided(1_000, ['a', 0, true], ['b', 0, false], ['c', 0, true])).toEqual({ a: 495, b: 10, c: 495 })
    expect(divided(1_000, ['a', 0, true], ['b', 0, false], ['c', 0, false])).toEqual({ a: 990, b: 5, c: 5 })
    expect(divided(10, ['a', 0, false], ['b', 0, true])).toEqual({ a: 0, b: 10 })
  })

  test('returns equal shares when no gateway needs tokens', () => {
    expect(divided(100, ['a', 100, false], ['b', 0, false])).toEqual({ a: 50, b: 50 })
  })

  test('returns shares of one if the cap is too small for all, and does not move them between gateways', () => {
    expect(divided(1, ['a', 0, false], ['b', 0, true])).toEqual({ a: 0, b: 1 })
    expect(divided(2, ['a', 0, true], ['b', 1, true], ['c', 1, true])).toEqual({ a: 0, b: 1, c: 1 })
  })

  test('returns shares that add up to the cap', () => {
    const someClaims = fc.array(fc.record({ mps: fc.nat(50), needsTokens: fc.boolean() }), {
      minLength: 1,
      maxLength: 8,
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), someClaims, (mps, claims) => {
        const shares = divide(
          mps,
          claims.map((claim, n) => ({ ...claim, gateway: `g${n}` })),
        )
        expect([...shares.values()].every((share) => Number.isInteger(share) && share >= 0)).toBe(true)
        expect([...shares.values()].reduce((sum, share) => sum + share)).toBe(mps)
      }),
    )
  })
})

describe('shares of several simulated gateways', () => {
  // the simulation has its own clock: real timers of Shares would fire at times that depend on the machine
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const gateways = fc.array(
    fc.record({
      startsAt: fc.nat(4_000),
      demand: fc.array(fc.record({ at: fc.nat(15_000), hasWork: fc.boolean() }), { maxLength: 3 }),
      freezes: fc.array(fc.record({ at: fc.nat(15_000), ms: fc.integer({ min: 20, max: 9_000 }) }), { maxLength: 2 }),
      diesAt: fc.option(fc.nat(15_000)),
    }),
    { minLength: 2, maxLength: 4 },
  )
  const seed = fc.integer({ min: 1, max: 2 ** 31 })

  test('no sliding second contains more writes than the cap while gateways start, freeze, die and get work', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 40 }), gateways, seed, async (mps, plans, random) => {
        const world = new ShareSimulation({ mps: [{ at: 0, mps }], seed: random })
        for (const plan of plans) world.addGateway(plan)
        await world.run(15_000)
        expect(world.maxWritesPerSecond()).toBeLessThanOrEqual(mps)
      }),
      { numRuns: 40 },
    )
  })

  test('after a change of the cap, writes respect the larger value for two seconds and then the new one', async () => {
    const changes = fc.array(
      fc.record({ at: fc.integer({ min: 1_000, max: 10_000 }), mps: fc.integer({ min: 1, max: 40 }) }),
      { minLength: 1, maxLength: 3 },
    )
    await fc.assert(
      fc.asyncProperty(changes, gateways, seed, async (mps, plans, random) => {
        const world = new ShareSimulation({
          mps: [{ at: 0, mps: 20 }, ...mps.sort((a, b) => a.at - b.at)],
          seed: random,
        })
        for (const plan of plans) world.addGateway({ ...plan, freezes: [] })
        await world.run(15_000)
        expect(world.secondsAbove((at) => world.highestCap(at - 2_000, at + 1_000))).toEqual([])
      }),
      { numRuns: 40 },
    )
  })

  test('gateways with work use 97 percent of the cap, and take over the share of one that dies', async () => {
    const world = new ShareSimulation({ mps: [{ at: 0, mps: 200 }], seed: 7 })
    for (const diesAt of [null, null, 10_000]) {
      world.addGateway({ startsAt: 0, demand: [{ at: 0, hasWork: true }], freezes: [], diesAt })
    }
    await world.run(30_000)
    const written = (from: number, until: number) => world.writes.filter((at) => at >= from && at < until).length
    expect(written(3_000, 10_000)).toBeGreaterThanOrEqual(0.97 * 200 * 7)
    expect(written(18_000, 30_000)).toBeGreaterThanOrEqual(0.97 * 200 * 12)
  })

  test('a single gateway gets the whole cap immediately', async () => {
    const world = new ShareSimulation({ mps: [{ at: 0, mps: 200 }], seed: 7 })
    world.addGateway({ startsAt: 0, demand: [{ at: 0, hasWork: true }], freezes: [], diesAt: null })
    await world.run(1_100)
    expect(world.writes[0]).toBeLessThan(200)
    expect(world.writes.length).toBeGreaterThan(190)
  })
})

describe('shares in the database', () => {
  let database: TestDatabase
  const log = pino({ level: 'silent' })
  beforeAll(async () => {
    database = await freshDatabase()
  })
  afterAll(() => database.close())

  test('only one gateway can grow its share after several have listed the same version', async () => {
    const names = Array.from({ length: 12 }, () => randomUUID())
    const tables = names.map((name) => shareTable(database.db, name))
    await Promise.all(tables.map((table) => table.join(5_000, ['short_code:1'])))
    const listed = await Promise.all(tables.map((table) => table.list(['short_code:1'])))
    const hasGrown = await Promise.all(
      tables.map((table, n) => table.grow({ cap: 'short_code:1', version: listed[n]?.[0]?.version ?? -1, mps: 10 })),
    )
    expect(hasGrown.filter(Boolean).length).toBe(1)
    const leased = await (tables[0] as ReturnType<typeof shareTable>).list(['short_code:1'])
    expect(leased.reduce((sum, share) => sum + share.mps, 0)).toBe(10)
  })

  test('concurrent gateways never lease more than the cap, and finally all of it', async () => {
    const cap = 'connection:2'
    const gateways = Array.from({ length: 4 }, () => {
      const gateway = randomUUID()
      const caps = new Caps()
      const shares = new Shares(caps, { table: shareTable(database.db, gateway), gateway, leaseMs: 1_000, log })
      return { caps, shares }
    })
    const leased = async () =>
      database.db.one<{ sum: number; min: number }>(
        'sum_of_shares',
        `select coalesce(sum(mps), 0)::int as sum, coalesce(min(mps), 0)::int as min from rate_shares where cap = $1`,
        [cap],
      )
    for (const { shares } of gateways) {
      shares.setLimits(new Map([[cap, 10]]), () => true)
      shares.start()
    }
    for (const { caps } of gateways) caps.of(cap).reportShortage(performance.now(), 11)
    await waitFor(async () => {
      const { sum, min } = await leased()
      expect(sum).toBeLessThanOrEqual(10)
      return sum === 10 && min >= 2
    })
    const limits = gateways.map(({ caps }) => caps.get(cap)?.limit ?? 0)
    expect(limits.reduce((sum, limit) => sum + limit)).toBeLessThanOrEqual(10)
    // two gateways stop, and the others take over their shares
    await Promise.all(gateways.slice(2).map(({ shares }) => shares.stop()))
    expect(gateways[3]?.caps.of(cap).free(performance.now())).toBe(0)
    await waitFor(() => gateways.slice(0, 2).every(({ caps }) => caps.get(cap)?.limit === 5))
    await Promise.all(gateways.slice(0, 2).map(({ shares }) => shares.stop()))
  })

  test('a share is deleted only after the grace period that follows its lease', async () => {
    const table = shareTable(database.db, randomUUID())
    await table.join(0, ['carrier:1:1'])
    await table.deleteExpired()
    expect((await table.list(['carrier:1:1'])).length).toBe(1)
    await database.db.exec(
      'age_share',
      `update rate_shares set lease_until = lease_until - interval '1.3 seconds' where cap = 'carrier:1:1'`,
    )
    await table.deleteExpired()
    expect(await table.list(['carrier:1:1'])).toEqual([])
    expect(await table.renew(5_000, [{ cap: 'carrier:1:1', effectiveLimit: 5, needsTokens: true }])).toEqual(new Set())
  })

  test('a gateway that lost its share leases one again, and respects a lowered cap immediately', async () => {
    const [cap, gateway, caps] = ['connection:5', randomUUID(), new Caps()]
    const shares = new Shares(caps, { table: shareTable(database.db, gateway), gateway, leaseMs: 1_000, log })
    shares.setLimits(new Map([[cap, 100]]), () => true)
    shares.start()
    await waitFor(() => caps.get(cap)?.limit === 100)
    const other = shareTable(database.db, randomUUID())
    await other.join(60_000, [cap])
    await database.db.exec('delete_share', `delete from rate_shares where cap = $1 and gateway = $2`, [cap, gateway])
    await waitFor(async () => {
      const [share] = await other.list([cap])
      return other.grow({ cap, version: share?.version ?? -1, mps: 50 })
    })
    await waitFor(() => caps.get(cap)?.limit === 50)
    shares.setLimits(new Map([[cap, 10]]), () => true)
    expect(caps.get(cap)?.limit).toBe(5)
    await shares.stop()
  })

  test('no token can be used after the lease while the database is unavailable', async () => {
    const gateway = randomUUID()
    const caps = new Caps()
    const table = shareTable(database.db, gateway)
    let isUnavailable = false
    const flakyTable = {
      ...table,
      renew: (...args: Parameters<typeof table.renew>) =>
        isUnavailable ? Promise.reject(new Error('unavailable')) : table.renew(...args),
    }
    const shares = new Shares(caps, { table: flakyTable, gateway, leaseMs: 400, log })
    shares.setLimits(new Map([['connection:9', 100]]), () => true)
    shares.start()
    const free = () => caps.of('connection:9').free(performance.now())
    await waitFor(() => free() > 0)
    isUnavailable = true
    await waitFor(() => free() === 0)
    isUnavailable = false
    await waitFor(() => free() > 0)
    await shares.stop()
  })
})
