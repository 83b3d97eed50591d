import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import { sql } from '../db/sql.ts'
import { closeMessage } from '../log/close.queries.ts'
import { receivedCount } from '../subscribers/received.sql.ts'
import { closeOverdue, createLogDaysAhead } from './close.ts'

// The number of broadcasts that a number received is counted in the log until a broadcast is closed, and stored then.

const first = 2_065_560_000
const hourMs = 3_600_000
let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
  await createLogDaysAhead(makeRuntime({ db: database.db }))
})
afterEach(() => database.close())

type Given = { phones?: number; state?: string; reason?: string; listId?: number; kind?: string }

/** Adds a sent broadcast with a row per phone in this state, in chunks of three rows, of which some overlap. */
async function add({ phones = 4, state = 'delivered', reason, listId = list.id, kind = 'broadcast' }: Given = {}) {
  const { id } = await database.db.one<{ id: number }>(
    'add',
    `with block as (select nextval('message_log_blocks') * 16384 as start),
     message as (
       insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                             created_at, accepted_at, expanded_at, sent_at)
       values ($1, $2, $3, $4, 'Hi', 'subscribed', 1, 'sent', current_date, now(), now(), now(), now()) returning id
     ), rows as (
       insert into message_log (id, logged_on, message_id, phone, state, reason, part_count)
       select start + n, current_date, message.id, $5::bigint + n, $6::message_state, $7, 1
         from block, message, generate_series(1, $8::int) n
     ), counters as (
       insert into message_counters (message_id, audience, delivered, sent)
       select id, $8, case when $6::text = 'sent' then 0 else $8 end, case when $6::text = 'sent' then $8 else 0 end from message
     ), chunks as (
       insert into send_chunks (message_id, logged_on, lane, due_at, first_log_id, last_log_id, short_code_id, done_at)
       select message.id, current_date, 2, now(), start + n, start + n + size, $3, now()
         from block, message, generate_series(1, $8::int, 3) n, (values (2), (1)) s(size)
     )
     select id from message`,
    [list.accountId, listId, list.shortCodeId, kind, first, state, reason ?? null, phones],
  )
  return id
}

const close = (db: Db = database.db, at = new Date(Date.now() + 80 * hourMs)) =>
  closeOverdue({ ...makeRuntime({ db }), clock: { now: () => at } })
/** The counts of the first phones, which the function for events returns for all of them, and the fragment for each. */
async function counts(phones: number, listId = list.id): Promise<number[]> {
  const { each, all } = await database.db.one<{ each: number[]; all: number[] }>(
    'counts',
    sql`select array_agg(${receivedCount('g.list', 'p.n')} order by p.n) as each,
               array_agg((select coalesce(sum(c.messages), 0) from count_received(g.list, g.phones) c where c.number = p.n)
                         order by p.n) as all
          from (select ${listId}::bigint as list, array_agg(n) as phones
                  from generate_series(${first + 1}::bigint, ${first + phones}::bigint) n) g,
               unnest(g.phones) p(n)`,
  )
  expect(all.map(Number)).toEqual(each.map(Number))
  return each.map(Number)
}
const isClosed = async (id: number) =>
  (await database.db.many('closed', 'select from messages where id = $1 and closed_at is not null', [id])).length > 0

test('closing changes no count, also if the days of the log are dropped afterwards', async () => {
  const other = await make.list(database.db, list)
  await add({ phones: 40 })
  await add({ phones: 3 })
  await add({ state: 'sent' })
  await add({ state: 'expired', reason: 'no_receipt' })
  for (const [state, reason] of [
    ['bounced', 'hard'],
    ['expired', 'soft'],
    ['unknown'],
    ['suppressed', 'opted_out'],
    ['cancelled'],
  ])
    await add({ state, reason })
  await add({ kind: 'transactional' })
  await add({ listId: other.id })
  const expected = [4, 4, 4, 3, 1, 1]
  expect(await counts(6)).toEqual(expected)
  while (await close());
  expect(await counts(6)).toEqual(expected)
  await database.db.exec('drop', 'truncate message_log')
  expect(await counts(6)).toEqual(expected)
  expect(await counts(1, other.id)).toEqual([1])
  await add()
  expect(await counts(5)).toEqual([5, 5, 5, 4, 1])
})

describe('each text is counted once', () => {
  test('if its broadcast is counted while the function for events runs: its statements have one snapshot', async () => {
    const id = await add({ phones: 2 })
    const waiting = `select from pg_stat_activity
                      where datname = current_database() and wait_event_type = 'Lock' and query like '%count_received(%'`
    const reading = await database.db.tx(async (tx) => {
      // the function has read received_counts when it waits for this table
      await tx.exec('lock', 'lock table messages in access exclusive mode')
      const counts = database.db.many<{ number: number; messages: number }>(
        'read_counts',
        'select number, messages from count_received($1, $2) order by number',
        [list.id, [first + 1, first + 2]],
      )
      await waitFor(async () => (await database.db.exec('waiting', waiting)) === 1)
      await tx.exec('count', 'insert into received_counts select $1, $2::bigint + n, 1 from generate_series(1, 2) n', [
        list.id,
        first,
      ])
      await tx.exec('counted', `update messages set received_through = ${Number.MAX_SAFE_INTEGER} where id = $1`, [id])
      return { counts }
    })
    expect((await reading.counts).map(({ messages }) => Number(messages))).toEqual([1, 1])
  })

  test('if the worker dies between any two statements', async () => {
    const id = await add({ phones: 70 })
    const expected = Array.from({ length: 71 }, (_, n) => (n < 70 ? 1 : 0))
    for (let dieAt = 1; dieAt < 100 && !(await isClosed(id)); dieAt++) {
      await close(dyingDb(database.db, dieAt)).catch(() => {})
      expect(await counts(71)).toEqual(expected)
      await database.db.exec('forget', 'delete from message_failures')
    }
    expect(await isClosed(id)).toBe(true)
    expect(await counts(71)).toEqual(expected)
  })

  test('by concurrent workers, of several messages of one list', async () => {
    const ids = [await add({ phones: 70 }), await add({ phones: 70 }), await add({ phones: 70 })]
    await Promise.all([close(), close(), close(), close()])
    while (await close());
    expect(await Promise.all(ids.map(isClosed))).toEqual([true, true, true])
    expect(await counts(71)).toEqual(Array.from({ length: 71 }, (_, n) => (n < 70 ? 3 : 0)))
  })
})

test('the last closed message of a number is the one that was sent last, in any order of closing', async () => {
  const lastOf = async (phone: number) =>
    (
      await database.db.maybeOne<{ id: number | null }>(
        'last',
        'select last_message_id as id from received_counts where list_id = $1 and phone = $2',
        [list.id, phone],
      )
    )?.id
  const sentAt = (id: number, time: string) =>
    database.db.exec('sent_at', 'update message_log set submitted_at = $2 where message_id = $1', [id, time])
  const [later, earlier] = [await add({ phones: 2 }), await add({ phones: 3, kind: 'transactional' })]
  await sentAt(later, '2031-03-02T10:00:00Z')
  await sentAt(earlier, '2031-03-01T10:00:00Z')
  const bounced = await add({ state: 'bounced', reason: 'soft' })
  await sentAt(bounced, '2031-03-03T10:00:00Z')
  while (await close());
  expect([await lastOf(first + 1), await lastOf(first + 2), await lastOf(first + 3)]).toEqual([later, later, earlier])
  expect(await lastOf(first + 4)).toBeUndefined()
  expect(await counts(3)).toEqual([1, 1, 0])
})

test('a broadcast is not closed before all of its texts are counted', async () => {
  const id = await add()
  const message = { messageId: id, loggedOn: '', requeuedAt: null }
  expect(await closeMessage(database.db, message, new Date())).toBe(false)
  const transactional = await add({ kind: 'transactional' })
  expect(await closeMessage(database.db, { ...message, messageId: transactional }, new Date())).toBe(false)
  const system = await add({ kind: 'system' })
  expect(await closeMessage(database.db, { ...message, messageId: system }, new Date())).toBe(true)
})

/** Returns a Db whose statements fail from the given one on. */
function dyingDb(db: Db, dieAt: number): Db {
  let statements = 0
  const wrap = (target: Db): Db =>
    new Proxy(target, {
      get(_, key: keyof Db) {
        if (key === 'tx') return <T>(work: (tx: Db) => Promise<T>) => target.tx((tx) => work(wrap(tx)))
        return (...args: unknown[]) => {
          if (++statements >= dieAt) return Promise.reject(new Error('died'))
          return (target[key] as (...given: unknown[]) => unknown)(...args)
        }
      },
    })
  return wrap(db)
}
