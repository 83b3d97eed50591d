import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { expandOnce, expandSlice } from './expand.ts'
import { readAudienceSlice } from './personal-slice.queries.ts'

// An account makes each row of its own message as expensive as it can.

let database: TestDatabase
let hostile: Awaited<ReturnType<typeof make.list>>
const rt = () => makeRuntime({ db: database.db })

beforeEach(async () => {
  database = await freshDatabase()
  hostile = await make.list(database.db)
})
afterEach(() => database.close())

/** Adds a field to the list, and subscribers with `length` characters in it. */
async function fill(count: number, key: string, length: number) {
  await database.db.exec(
    'add_field',
    `insert into custom_fields (list_id, key, label, content_type, max_length, created_at, updated_at)
     values ($1, $2, $2, 'text', 9999, now(), now())`,
    [hostile.id, key],
  )
  await database.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, custom_fields, subscribed_at, opted_in_at)
     select $1, 2065560000 + n, now(), 'subscribed', jsonb_build_object($2::text, repeat('x', $4::int)), now() - interval '1 day',
            now() - interval '1 day'
       from generate_series(1, $3::int) n`,
    [hostile.id, key, count, length],
  )
}

const send = async (list: typeof hostile, content: string) =>
  (await acceptBroadcast(rt(), { accountId: list.accountId, list, content })).id

const isExpanded = async (messageId: number) => {
  const { expanded } = await database.db.one<{ expanded: boolean }>(
    'is_expanded',
    `select expanded_at is not null as expanded from messages where id = $1`,
    [messageId],
  )
  return expanded
}

test('long values in many merge tags suppress their recipients, and delay no broadcast of another account', async () => {
  await fill(1_000, 'a', 9_998)
  const other = await make.list(database.db)
  await make.subscriber(database.db, { listId: other.id })
  const content = `Hi${'{a}'.repeat(40)}`
  const first = await send(hostile, content)
  const second = await send(other, 'Soup on Friday')
  await expandOnce(rt())
  expect(await isExpanded(second)).toBe(true)
  expect(await readCounters(database.db, second)).toMatchObject({ audience: 1, queued: 1 })
  let rounds = 1
  while (await expandOnce(rt())) rounds++
  expect(rounds).toBeLessThanOrEqual(8)
  expect(await readCounters(database.db, first)).toMatchObject({ audience: 1_000, queued: 0, suppressed: 1_000 })
  await checkCounters(database.db, first)
  const reasons = await database.db.many(
    'reasons',
    `select distinct reason, content from message_log where message_id = $1`,
    [first],
  )
  expect(reasons).toEqual([{ reason: 'too_long', content: null }])
})

test('a slice ends when its turn is over, and the next one continues behind it', async () => {
  await fill(30, 'a', 20)
  const id = await send(hostile, 'Hi {a}')
  let ms = 0
  const slow = () => {
    ms += 30
    return ms
  }
  const written: number[] = []
  while (await expandSlice(rt(), id, slow)) written.push((await readCounters(database.db, id)).queued ?? 0)
  expect(written.length).toBeGreaterThan(5)
  expect(written[0]).toBeGreaterThan(0)
  expect(written[0]).toBeLessThan(10)
  expect(written.at(-1)).toBe(30)
  expect(await readCounters(database.db, id)).toMatchObject({ audience: 30, queued: 30 })
  await checkCounters(database.db, id)
})

test('slices of a broadcast with filters have fewer rows after one that took long, or failed', async () => {
  await fill(600, 'a', 20)
  const audience = { custom_fields: [{ key: 'a', op: 'ne' as const, value: 'y' }] }
  const list = { accountId: hostile.accountId, list: hostile, content: 'Soup on Friday', audience }
  const { id } = await acceptBroadcast(rt(), list)
  // called at the start of a slice, when its rows begin, and at its end
  const stopwatch = (ms: number) => {
    const times = [0, 0, ms]
    return () => times.shift() ?? ms
  }
  const queued = async () => (await readCounters(database.db, id)).queued
  await expandSlice(rt(), id, stopwatch(1_000))
  expect(await queued()).toBe(20)
  await expandSlice(rt(), id, stopwatch(250))
  expect(await queued()).toBe(25)
  await database.db.exec('break', `update messages set logged_on = logged_on - 9999 where id = $1`, [id])
  await expect(expandSlice(rt(), id)).rejects.toThrow('does not exist')
  await database.db.exec('repair', `update messages set logged_on = logged_on + 9999 where id = $1`, [id])
  await expandSlice(rt(), id, stopwatch(250))
  expect(await queued()).toBe(26)
})

test('a slice reads fewer rows if the message has many fields, and cuts values that no text can contain', async () => {
  await fill(300, 'a', 9_998)
  const slice = { listId: hostile.id, audience: null, cursorPhone: 0, audienceAt: new Date(), rows: 10_000 }
  const fieldKeys = Array.from({ length: 100 }, (_, n) => `f${n}`)
  const { people, rows, ended } = await readAudienceSlice(database.db, { ...slice, fieldKeys: ['a', ...fieldKeys] })
  expect(rows).toBe(49)
  expect(ended).toBe(false)
  expect(people[0]?.values[0]).toBe('x'.repeat(1_601))
  expect((await readAudienceSlice(database.db, { ...slice, fieldKeys: ['a'] })).rows).toBe(300)
})
