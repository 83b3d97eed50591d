import { afterAll, describe, expect, onTestFailed, test } from 'vitest'
import { waitFor } from '../wait-for.ts'
import { phonesFrom } from './blows.ts'
import { House } from './house.ts'
import { checkCounts, isSettled, phoneOf, readSubmits } from './reconcile.ts'

// The audience is written in slices behind a cursor, and nothing else keeps a recipient from being written twice: so
// the worker is killed in the middle of writing it.

const recipients = 40_000

describe.skipIf(process.platform !== 'linux')('a worker killed while it writes an audience', () => {
  let house: House | undefined
  afterAll(() => house?.endEverything())

  test('leaves nobody out and nobody in twice', { timeout: 90_000 }, async () => {
    onTestFailed(() => console.error(house?.logTails()))
    house = await House.open({ binds: 4, window: 100, latencyMs: 0, leaseMs: 2_000 })
    const phones = phonesFrom(2_126_000_000, recipients)
    const listId = await house.makeList('All the town', phones)
    const client = await house.connect()
    const content = 'The library is open again'
    const messageId = await house.broadcast(listId, content)
    const written = async () => {
      const sql = 'select audience from message_counters where message_id = $1'
      const { rows } = await client.query<{ audience: number }>(sql, [messageId])
      return Number(rows[0]?.audience ?? 0)
    }
    await waitFor(async () => (await written()) > recipients * 0.05, { what: 'the first slices' })
    house.kill('worker')
    const atKill = await written()
    expect(atKill).toBeGreaterThan(recipients * 0.05)
    expect(atKill).toBeLessThan(recipients * 0.95)
    await waitFor(() => isSettled(client, messageId), { timeoutMs: 45_000, what: 'every text to be settled' })
    const { faults, counts } = await checkCounts(client, messageId)
    expect(faults).toEqual([])
    expect(counts?.audience).toBe(recipients)
    const texted = readSubmits(house, content).map(phoneOf)
    expect(texted).toHaveLength(recipients)
    expect(new Set(texted)).toEqual(new Set(phones))
    await client.end()
    expect(await house.stop()).toBe(0)
  })
})
