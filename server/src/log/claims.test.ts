import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import type { Db } from '../db/db.ts'
import type { Sql } from '../db/sql.ts'
import type { BroadcastClaim } from './chunk.ts'
import { claimBroadcasts, claimChunks } from './claims.queries.ts'

// Broadcasts take turns, regardless of their numbers of chunks.

let database: TestDatabase
beforeEach(async () => {
  database = await freshDatabase()
})
afterEach(() => database.close())

/** Makes a broadcast with this number of chunks, all of them free. */
async function broadcast(chunks: number, owner: { accountId?: number; shortCodeId?: number } = {}) {
  const list = await make.list(database.db, owner)
  const { id } = await database.db.one<{ id: number }>(
    'broadcast',
    `with added as (
       insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on, accepted_at, created_at)
       values ($1, $2, $3, 'broadcast', 'Hello', 'subscribed', 1, 'sending', '2031-05-06', now(), now()) returning id
     ), chunks as (
       insert into send_chunks (message_id, short_code_id, logged_on, lane, due_at, first_log_id, last_log_id)
       select id, $3, '2031-05-06', 2, '2020-01-01', n * 1000, n * 1000 + 999 from added, generate_series(1, $4) n
     )
     select id from added`,
    [list.accountId, list.id, list.shortCodeId, chunks],
  )
  return { id, shortCodeId: list.shortCodeId, accountId: list.accountId }
}

function claim(given: Partial<BroadcastClaim> = {}) {
  const owner = crypto.randomUUID()
  return claimBroadcasts(database.db, {
    owner,
    leaseMs: 60_000,
    now: new Date(),
    limit: 4,
    enough: [],
    served: [],
    servedAccounts: [],
    exceptAccounts: [],
    ...given,
  })
}

const disable = (accountId: number) =>
  database.db.exec('disable', 'update accounts set disabled_at = now() where id = $1', [accountId])

const messagesOf = (chunks: Array<{ messageId: number }>) => chunks.map((chunk) => chunk.messageId).sort()

test('leases one chunk of each broadcast before a second one of any', async () => {
  const [big, small, other] = [await broadcast(50), await broadcast(1), await broadcast(3)]
  expect(messagesOf(await claim())).toEqual([big.id, big.id, small.id, other.id])
  expect(messagesOf(await claim())).toEqual([big.id, big.id, other.id, other.id])
})

test('accounts take turns, whatever the number of their broadcasts', async () => {
  const { id, ...hostile } = await broadcast(3)
  for (let n = 0; n < 40; n++) await broadcast(3, hostile)
  const other = await broadcast(5)
  const ofOther = (chunks: Array<{ messageId: number }>) =>
    messagesOf(chunks).filter((each) => each === other.id).length
  expect(ofOther(await claim({ limit: 4 }))).toBe(2)
  // the account that was served least recently is first, whatever its broadcasts
  const servedAccounts = [other.accountId, hostile.accountId]
  expect(messagesOf(await claim({ limit: 1, served: [other.id], servedAccounts }))).toEqual([other.id])
  expect(messagesOf(await claim({ limit: 1, servedAccounts: servedAccounts.toReversed() }))).not.toEqual([other.id])
  expect(messagesOf(await claim({ limit: 9, exceptAccounts: [hostile.accountId] }))).toEqual([other.id, other.id])
  expect(id).not.toBe(other.id)
})

test('skips broadcasts in `enough`, and leases the least recently served first', async () => {
  const [first, second, third] = [await broadcast(9), await broadcast(9), await broadcast(9)]
  expect(messagesOf(await claim({ enough: [first.id], limit: 2 }))).toEqual([second.id, third.id])
  const served = [third.id, first.id]
  expect(messagesOf(await claim({ served, limit: 1 }))).toEqual([second.id])
  expect(messagesOf(await claim({ served: [second.id, ...served], limit: 2 }))).toEqual([second.id, third.id])
})

test('skips short codes that the gateway cannot send from, and paused broadcasts', async () => {
  const [unreachable, reachable, paused] = [await broadcast(100), await broadcast(2), await broadcast(100)]
  await database.db.exec('pause', 'update send_chunks set paused = true where message_id = $1', [paused.id])
  const codes = { allBut: true, ids: [unreachable.shortCodeId] }
  expect(messagesOf(await claim({ codes }))).toEqual([reachable.id, reachable.id])
  expect(await claim({ codes })).toEqual([])
  expect(messagesOf(await claim({ codes: { allBut: false, ids: [unreachable.shortCodeId] }, limit: 1 }))).toEqual([
    unreachable.id,
  ])
})

test('skips the chunks of disabled accounts except replies to STOP and HELP', async () => {
  const [closed, open] = [await broadcast(40), await broadcast(1)]
  await disable(closed.accountId)
  expect(messagesOf(await claim())).toEqual([open.id])
  const [reply, question, open2] = [await broadcast(1, closed), await broadcast(1, closed), await broadcast(1)]
  await database.db.exec('system', 'update send_chunks set lane = 0 where message_id = any($1)', [
    [reply.id, question.id, open2.id],
  ])
  await database.db.exec('reply', `update messages set consent = 'reply' where id = $1`, [reply.id])
  await database.db.exec('transactional', 'update send_chunks set lane = 1 where message_id = $1', [closed.id])
  const owner = crypto.randomUUID()
  const urgent = { owner, leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 1, limit: 50 }
  expect(messagesOf(await claimChunks(database.db, urgent))).toEqual([reply.id, open2.id])
  await database.db.exec('enable', 'update accounts set disabled_at = null')
  expect(messagesOf(await claimChunks(database.db, urgent))).toHaveLength(41)
})

test('does not lease chunks that are not due or are about to close', async () => {
  const { id } = await broadcast(3)
  await database.db.exec(
    'set_times',
    `update send_chunks set due_at = case when first_log_id = 1000 then now() + interval '1 hour' else due_at end,
            closes_at = case when first_log_id = 2000 then now() + interval '500 milliseconds' end where message_id = $1`,
    [id],
  )
  expect((await claim()).map((chunk) => chunk.firstLogId)).toEqual([3_000])
})

test('never leases one chunk to two gateways that claim concurrently', async () => {
  for (let n = 0; n < 5; n++) await broadcast(8)
  const claimed = (await Promise.all(Array.from({ length: 6 }, () => claim()))).flat()
  expect(new Set(claimed.map((chunk) => chunk.id)).size).toBe(claimed.length)
  const rest = await claim({ limit: 100 })
  expect(claimed.length + rest.length).toBe(40)
})

test('does not read urgent chunks that cannot be sent now to find one that can', async () => {
  const [unreachable, reachable, paused] = [await broadcast(2_000), await broadcast(1), await broadcast(2_000)]
  await disable((await broadcast(2_000)).accountId)
  await database.db.exec('pause', 'update send_chunks set paused = true where message_id = $1', [paused.id])
  await database.db.exec('urgent', 'update send_chunks set lane = 1')
  const codes = { allBut: true, ids: [unreachable.shortCodeId] }
  const given = {
    owner: crypto.randomUUID(),
    leaseMs: 60_000,
    now: new Date(),
    fromLane: 0,
    toLane: 1,
    limit: 10,
    codes,
  }
  const plans: string[] = []
  const explaining: Db = {
    ...database.db,
    many: async (_, statement) => {
      const { text, values } = (statement as Sql).toStatement()
      await database.db.tx(async (tx) => {
        await tx.exec('no_scans', 'set local enable_seqscan = off')
        const rows = await tx.many<Record<string, string>>('plan', `explain (analyze, timing off) ${text}`, values)
        plans.push(rows.map((row) => Object.values(row)[0]).join('\n'))
        await tx.exec('undo', 'update send_chunks set lease_until = null')
      })
      return []
    },
  }
  await claimChunks(explaining, given)
  const read = [...(plans[0] ?? '').matchAll(/rows=(\d+)(?:\.\d+)? loops|Removed by Filter: (\d+)/g)]
  expect(Math.max(...read.map(([, rows, removed]) => Number(rows ?? removed))), plans[0]).toBeLessThan(100)
  expect(messagesOf(await claimChunks(database.db, given))).toEqual([reachable.id])
})
