import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { checkCounters, readCounters } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { disableAccount, enableAccount } from '../../accounts/accounts.ts'
import { expandOnce } from '../../broadcasts/expand.ts'
import { cancelMessage } from '../stop/cancel.ts'
import { createDraft, sendDraft, startDue } from './drafts.ts'

// Concurrent starts of scheduled broadcasts, on several database connections with real commits.

const dueAt = new Date('2031-05-06T23:59:00Z')
const minutesLater = (minutes: number) => new Date(dueAt.getTime() + minutes * 60_000)

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
})
afterEach(() => database.close())

const at = (time: Date) => ({ ...makeRuntime({ db: database.db }), clock: { now: () => time } })

async function schedule(content = 'Soup on Friday') {
  const input = { accountId: list.accountId, list, content }
  return (await createDraft(at(new Date('2031-05-01T00:00:00Z')), input, dueAt)).id
}

const rowOf = (id: number) =>
  database.db.one<Record<string, unknown>>(
    'row_of',
    `select status, cancel_reason as reason, logged_on::text as day, accepted_at, closed_at is not null as closed,
            (select count(*)::int from expansions where message_id = m.id) as expansions
       from messages m where id = $1`,
    [id],
  )

test('sends from the short code that the list has when the message starts', async () => {
  const id = await schedule()
  const code = await make.shortCode(database.db, { accountId: list.accountId })
  await database.db.exec('move', 'update lists set short_code_id = $2 where id = $1', [list.id, code.id])
  await startDue(at(dueAt))
  const sql = 'select short_code_id as code from messages where id = $1'
  expect(await database.db.one('code_of', sql, [id])).toEqual({ code: code.id })
})

test('starts a message at its planned time, not before', async () => {
  const id = await schedule()
  expect(await startDue(at(minutesLater(-1)))).toBe(false)
  expect(await rowOf(id)).toMatchObject({ status: 'scheduled', day: null })
  expect(await startDue(at(dueAt))).toBe(true)
  expect(await rowOf(id)).toMatchObject({ status: 'sending', day: '2031-05-06', accepted_at: dueAt, expansions: 1 })
})

test('starts no message of a disabled account, and a late one within its lateness when the account is enabled', async () => {
  const id = await schedule()
  await disableAccount(database.db, list.accountId, dueAt)
  expect(await startDue(at(dueAt))).toBe(false)
  expect(await rowOf(id)).toMatchObject({ status: 'scheduled', expansions: 0 })
  await enableAccount(database.db, list.accountId)
  expect(await startDue(at(minutesLater(5)))).toBe(true)
  expect(await rowOf(id)).toMatchObject({ status: 'sending', accepted_at: minutesLater(5), expansions: 1 })
})

test('starts each message once when several workers run concurrently', async () => {
  const ids = [await schedule('a'), await schedule('b'), await schedule('c')]
  const rounds = await Promise.all(Array.from({ length: 8 }, () => startDue(at(dueAt))))
  while (await startDue(at(dueAt)));
  expect(rounds.filter(Boolean).length).toBeGreaterThan(0)
  for (const id of ids) expect(await rowOf(id)).toMatchObject({ status: 'sending', expansions: 1 })
})

test('skips a message that another worker has locked', async () => {
  const first = await schedule('a')
  const second = await schedule('b')
  // a worker creates it a week ahead
  await database.db.exec('make_the_day', 'select ensure_log_day($1)', [dueAt])
  await database.db.tx(async (tx) => {
    await startDue({ ...at(dueAt), db: tx })
    expect(await startDue(at(dueAt))).toBe(true)
    expect(await startDue(at(dueAt))).toBe(false)
  })
  for (const id of [first, second]) expect(await rowOf(id)).toMatchObject({ status: 'sending', expansions: 1 })
})

/** Waits until a database session waits for a lock. */
const untilBlocked = () =>
  waitFor(async () => {
    const sql = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    return (await database.db.exec('blocked', sql)) > 0
  })

test('starts two concurrent messages that are the first of a day of the log', async () => {
  const ids = [await schedule('a'), await schedule('b')]
  let second: Promise<boolean> | undefined
  await database.db.tx(async (tx) => {
    await startDue({ ...at(dueAt), db: tx })
    second = startDue(at(dueAt))
    await untilBlocked()
  })
  expect(await second).toBe(true)
  for (const id of ids) expect(await rowOf(id)).toMatchObject({ status: 'sending', expansions: 1 })
})

test('ends the expansion of a message whose cancel waits for its start', async () => {
  const id = await schedule()
  let cancelled: Promise<void> | undefined
  await database.db.tx(async (tx) => {
    await startDue({ ...at(dueAt), db: tx })
    cancelled = cancelMessage(at(dueAt), list.id, id)
    await untilBlocked()
  })
  await cancelled
  expect(await rowOf(id)).toMatchObject({ status: 'cancelled', expansions: 0 })
})

test('optedOutPhone a message scheduled if the worker dies before the commit', async () => {
  const id = await schedule()
  const killed = database.db.tx(async (tx) => {
    await startDue({ ...at(dueAt), db: tx })
    throw new Error('killed')
  })
  await expect(killed).rejects.toThrow('killed')
  expect(await rowOf(id)).toMatchObject({ status: 'scheduled', expansions: 0 })
  expect(await startDue(at(dueAt))).toBe(true)
})

test('starts a late message within the lateness that the list allows, on the day of the start', async () => {
  const id = await schedule()
  expect(await startDue(at(minutesLater(60)))).toBe(true)
  expect(await rowOf(id)).toMatchObject({ status: 'sending', day: '2031-05-07' })
})

test.each([
  [60.1, null],
  [5.1, 5],
])(
  'cancels a message that is %d minutes late when %s minutes are allowed (null: the default)',
  async (late, allowed) => {
    if (allowed !== null) {
      const sql = 'update lists set scheduled_lateness_minutes = $2 where id = $1'
      await database.db.exec('set_lateness', sql, [list.id, allowed])
    }
    const id = await schedule()
    expect(await startDue(at(minutesLater(late)))).toBe(true)
    expect(await rowOf(id)).toMatchObject({ status: 'cancelled', reason: 'too_late', expansions: 0, closed: true })
    expect(await startDue(at(minutesLater(late)))).toBe(false)
  },
)

test('cancels a scheduled message of a deleted list', async () => {
  const id = await schedule()
  await database.db.exec('delete_list', 'update lists set deleted_at = now() where id = $1', [list.id])
  await startDue(at(dueAt))
  expect(await rowOf(id)).toMatchObject({ status: 'cancelled', reason: 'list_deleted' })
})

test('takes the audience at the planned time', async () => {
  const day = 86_400_000
  const { phone: subscribedPhone } = await make.subscriber(database.db, {
    listId: list.id,
    at: new Date(dueAt.getTime() - day),
  })
  const { phone: optedOutPhone } = await make.subscriber(database.db, {
    listId: list.id,
    at: new Date(dueAt.getTime() - day),
  })
  await make.subscriber(database.db, { listId: list.id, at: minutesLater(10) })
  await database.db.exec(
    'unsubscribe',
    `update subscribers set state = 'unsubscribed', opted_out_at = $2 where phone = $1`,
    [optedOutPhone, minutesLater(15)],
  )
  const id = await schedule()
  await startDue(at(minutesLater(30)))
  while (await expandOnce(at(minutesLater(30))));
  const rows = await database.db.many(
    'log',
    'select phone, state from message_log where message_id = $1 order by phone',
    [id],
  )
  expect(rows).toEqual([
    { phone: subscribedPhone, state: 'queued' },
    { phone: optedOutPhone, state: 'suppressed' },
  ])
  await checkCounters(database.db, id)
})

test('optedOutPhone one cancelled message and at most one audience after concurrent starts, sends and a cancel', async () => {
  for (let n = 0; n < 3; n++) await make.subscriber(database.db, { listId: list.id })
  for (let round = 0; round < 10; round++) {
    const id = await schedule()
    const outcomes = await Promise.allSettled([
      startDue(at(dueAt)),
      sendDraft(at(dueAt), list, id),
      sendDraft(at(dueAt), list, id),
      cancelMessage(at(dueAt), list.id, id),
      expandOnce(at(dueAt)),
    ])
    expect(outcomes.slice(1, 3).filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1)
    expect(outcomes[3]?.status).toBe('fulfilled')
    while (await expandOnce(at(dueAt)));
    expect(await rowOf(id)).toMatchObject({ status: 'cancelled', expansions: 0 })
    expect([0, 3]).toContain((await readCounters(database.db, id)).audience)
    await checkCounters(database.db, id)
  }
})
