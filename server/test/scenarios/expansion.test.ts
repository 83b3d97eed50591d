import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, describe, expect, onTestFailed, test } from 'vitest'
import { signal } from '../../src/supervisor/processes.ts'
import { waitFor } from '../wait-for.ts'
import { Installation } from './installation.ts'
import { phonesFrom } from './random-faults.ts'
import { checkCounts, isSettled, phoneOf, readSubmits } from './reconcile.ts'
import { makeList, sendBroadcast } from './texting.ts'

// The audience is written in slices behind a cursor, and the cursor alone prevents duplicate recipients, so the worker is
// killed while it writes. A frozen worker has locked the message's counters, which every text needs.

const recipients = 40_000
const leaseMs = 2_000

describe.skipIf(process.platform !== 'linux')('a worker killed while it writes an audience', () => {
  let installation: Installation | undefined
  afterAll(() => installation?.destroy())

  test('writes every recipient exactly once', { timeout: 90_000 }, async () => {
    onTestFailed(() => console.error(installation?.logTails()))
    installation = await Installation.open({ binds: 4, window: 100, latencyMs: 0, leaseMs })
    const phones = phonesFrom(2_126_000_000, recipients)
    const listId = await makeList(installation, 'All subscribers', phones)
    const client = await installation.connect()
    const content = 'The library is open again'
    const messageId = await sendBroadcast(installation, listId, content)
    const written = async () => {
      const sql = 'select audience from message_totals where message_id = $1'
      const { rows } = await client.query<{ audience: number }>(sql, [messageId])
      return Number(rows[0]?.audience ?? 0)
    }
    await waitFor(async () => (await written()) > recipients * 0.05, { what: 'the first slices' })
    installation.kill('worker')
    const atKill = await written()
    expect(atKill).toBeGreaterThan(recipients * 0.05)
    expect(atKill).toBeLessThan(recipients * 0.95)
    await waitFor(() => isSettled(client, messageId), { timeoutMs: 45_000, what: 'all texts to settle' })
    const { faults, counts } = await checkCounts(client, messageId)
    expect(faults).toEqual([])
    expect(counts?.audience).toBe(recipients)
    const texted = readSubmits(installation, content).map(phoneOf)
    expect(texted).toHaveLength(recipients)
    expect(new Set(texted)).toEqual(new Set(phones))
    await client.end()
    expect(await installation.stop()).toBe(0)
  })
})

describe.skipIf(process.platform !== 'linux')('a worker frozen while it writes an audience', () => {
  let installation: Installation | undefined
  afterAll(() => installation?.destroy())

  test('blocks no text for longer than its lease', { timeout: 60_000 }, async () => {
    onTestFailed(() => console.error(installation?.logTails()))
    installation = await Installation.open({ binds: 4, window: 100, latencyMs: 0, leaseMs })
    const phones = phonesFrom(2_126_000_000, recipients / 2)
    const listId = await makeList(installation, 'Half of the subscribers', phones)
    const client = await installation.connect()
    const content = 'The library is closed today'
    const messageId = await sendBroadcast(installation, listId, content)
    const pid = installation.pid('worker')
    const frozen = await waitFor(() => freezeInTransaction(client, pid), { what: 'the worker to be in a transaction' })
    const frozenAt = Date.now()
    installation.startSecond('worker')
    await waitFor(() => isSettled(client, messageId), { timeoutMs: 20_000, what: 'all texts to settle' })
    console.log(`frozen in ${frozen}, everything was settled ${Date.now() - frozenAt} ms later`)
    signal(pid, 'SIGCONT')
    await waitFor(() => installation?.log('worker').includes('work on a message failed, it is retried later'), {
      what: 'the thawed worker to log its failed transaction',
    })
    const { faults, counts } = await checkCounts(client, messageId)
    expect(faults).toEqual([])
    expect(counts?.audience).toBe(recipients / 2)
    const texted = readSubmits(installation, content).map(phoneOf)
    expect(texted).toHaveLength(recipients / 2)
    expect(new Set(texted)).toEqual(new Set(phones))
    await client.end()
    expect(await installation.stop()).toBe(0)
  })
})

/** Freezes the worker if it is in the transaction of a slice, and returns its last statement; otherwise thaws it. */
async function freezeInTransaction(client: pg.Client, pid: number): Promise<string | undefined> {
  signal(pid, 'SIGSTOP')
  const inTransaction = `
    select substring(a.query from '^/\\* (\\w+)') as after from pg_stat_activity a
      join pg_locks l on l.pid = a.pid and l.relation = 'message_counters'::regclass and l.mode = 'RowExclusiveLock'
     where a.application_name = 'carillon worker' and a.state = 'idle in transaction' and a.query like '/*%'
       and a.state_change < clock_timestamp() - interval '100 milliseconds'`
  for (let attempt = 0; attempt < 20; attempt++) {
    const { rows } = await client.query<{ after: string }>(inTransaction)
    if (rows[0]) return rows[0].after
    await delay(10) // its last query may still run
  }
  signal(pid, 'SIGCONT')
  return undefined
}
