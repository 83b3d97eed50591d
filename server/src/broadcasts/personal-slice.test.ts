import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import type { Audience } from '../messages/audience/audience.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { expandOnce, expandSlice } from './expand.ts'
import { groupByWindow } from './personal-slice.ts'

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
const rt = () => makeRuntime({ db: database.db })

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
})
afterEach(() => database.close())

const fill = (count: number) =>
  database.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, first_name, custom_fields, tags, subscribed_at, opted_in_at)
     select $1, 2065560000 + n, now(), 'subscribed', 'Name' || n, jsonb_build_object('team', 'T' || n % 7),
            case when n % 3 = 0 then '{third}'::text[] else '{}' end, now() - interval '1 day', now() - interval '1 day'
       from generate_series(1, $2::int) n`,
    [list.id, count],
  )

const addField = (key: string) =>
  database.db.exec(
    'add_field',
    `insert into custom_fields (list_id, key, label, content_type, max_length, created_at, updated_at)
     values ($1, $2, $2, 'text', 50, now(), now())`,
    [list.id, key],
  )

const send = async (content: string, given: { maxParts?: number; audience?: Audience } = {}) =>
  (await acceptBroadcast(rt(), { accountId: list.accountId, list, content, ...given })).id

async function expandAll() {
  while (await expandOnce(rt()));
}

const rows = (id: number) =>
  database.db.many<{ phone: number; state: string; reason: string | null; content: string | null; parts: number }>(
    'personal_rows',
    `select phone, state, reason, content, part_count as parts from message_log where message_id = $1 order by phone`,
    [id],
  )

test('writes personal texts, in chunks of consecutive ids', async () => {
  await addField('team')
  await fill(12_345)
  const id = await send('Hi {first_name}, {team} meets at nine.')
  while (await expandSlice(rt(), id, () => 0));
  await checkCounters(database.db, id)
  const written = await rows(id)
  expect(written).toHaveLength(12_345)
  expect(written[6]).toEqual({
    phone: 2065560007,
    state: 'queued',
    reason: null,
    content: 'Hi Name7, T0 meets at nine.',
    parts: 1,
  })
  expect(written.every((row, i) => row.content === `Hi Name${i + 1}, T${(i + 1) % 7} meets at nine.`)).toBe(true)
  const chunks = await database.db.one(
    'personal_chunks',
    `select (select count(*) from message_log l where l.message_id = $1 and 1 <> (
               select count(*) from send_chunks c where l.id between c.first_log_id and c.last_log_id)) as uncovered,
            max(last_log_id - first_log_id + 1) as largest, count(*) as chunks
       from send_chunks where message_id = $1`,
    [id],
  )
  expect(chunks).toEqual({ uncovered: 0, largest: 1_000, chunks: 16 })
})

test('counts the parts of each text, and suppresses texts with too many', async () => {
  const named = (phone: number, firstName: string) =>
    make.subscriber(database.db, { listId: list.id, phone, firstName })
  await named(2065560001, 'Ana')
  await named(2065560002, 'Ł'.repeat(10))
  await named(2065560003, 'x'.repeat(50))
  await named(2065560004, '')
  const id = await send(`{first_name|-}${'a'.repeat(120)}`)
  const singlePart = await send(`{first_name|-}${'a'.repeat(120)}`, { maxParts: 1 })
  await expandAll()
  expect((await rows(id)).map((row) => [row.state, row.reason, row.parts])).toEqual([
    ['queued', null, 1],
    ['queued', null, 2],
    ['suppressed', 'too_long', 1],
    ['queued', null, 1],
  ])
  expect(await readCounters(database.db, id)).toMatchObject({ audience: 4, queued: 3, suppressed: 1 })
  expect((await rows(singlePart)).map((row) => row.reason)).toEqual([null, 'too_long', 'too_long', null])
  await checkCounters(database.db, singlePart)
})

test("stores only texts that differ from the message's content", async () => {
  await make.subscriber(database.db, { listId: list.id, firstName: '{first_name}' })
  await make.subscriber(database.db, { listId: list.id, firstName: '{last_name}' })
  const id = await send('{first_name}')
  await expandAll()
  expect((await rows(id)).map((row) => row.content)).toEqual([null, '{last_name}'])
})

test('sends an escaped brace as a brace', async () => {
  await fill(1)
  const id = await send('\\{first_name}')
  await expandAll()
  expect((await rows(id)).map((row) => row.content)).toEqual(['{first_name}'])
})

test('applies audience filters to a personal message', async () => {
  await fill(3_000)
  const id = await send('Hi {first_name}', { audience: { tags_any: ['third'] } })
  await expandAll()
  const written = await rows(id)
  expect(written).toHaveLength(1_000)
  expect(written.every((row) => row.phone % 3 === 2065560000 % 3)).toBe(true)
  await checkCounters(database.db, id)
})

test('suppresses subscribers who opted out after it was accepted, and omits those who joined later', async () => {
  await fill(2)
  const id = await send('Hi {first_name}')
  const later = new Date(Date.now() + 1_000)
  await database.db.exec(
    'unsubscribe',
    `update subscribers set state = 'unsubscribed', opted_out_at = $1 where phone = 2065560001`,
    [later],
  )
  await make.subscriber(database.db, { listId: list.id, at: later })
  await expandAll()
  expect((await rows(id)).map((row) => [row.state, row.reason, row.content])).toEqual([
    ['suppressed', 'opted_out', null],
    ['queued', null, 'Hi Name2'],
  ])
})

test('completes the expansion of a broadcast to an empty list', async () => {
  const id = await send('Hi {first_name}')
  await expandAll()
  expect(await readCounters(database.db, id)).toMatchObject({ audience: 0 })
  const { expanded } = await database.db.one<{ expanded: boolean }>(
    'expanded',
    'select expanded_at is not null as expanded from messages where id = $1',
    [id],
  )
  expect(expanded).toBe(true)
})

test('writes each recipient once when several workers expand concurrently', async () => {
  await fill(30_000)
  const id = await send('Hi {first_name}')
  await Promise.all([expandAll(), expandAll(), expandAll()])
  await expandAll()
  expect((await readCounters(database.db, id)).audience).toBe(30_000)
  await checkCounters(database.db, id)
})

test('writes nothing of a slice whose worker dies', async () => {
  await fill(3_000)
  const id = await send('Hi {first_name}')
  await expandSlice(rt(), id, () => 0)
  await expect(
    database.db.tx(async (tx) => {
      await expandSlice({ ...rt(), db: tx }, id)
      throw new Error('killed')
    }),
  ).rejects.toThrow('killed')
  expect((await readCounters(database.db, id)).audience).toBe(20)
  await expandAll()
  expect((await readCounters(database.db, id)).audience).toBe(3_000)
  await checkCounters(database.db, id)
})

test('groups recipients by location and window, the earliest window first', () => {
  const row = (phone: number) => ({ phone, reason: null, content: null, partCount: 1 })
  const [nine, ten] = [new Date('2031-05-06T09:00:00Z'), new Date('2031-05-06T10:00:00Z')]
  const [east, west] = [
    { opensAt: nine, closesAt: ten, location: 'NY:E' },
    { opensAt: ten, closesAt: null, location: 'CA:P' },
  ]
  const planned = [west, east, west, east, east].map((window, n) => ({ row: row(n), window }))
  const { rows, chunks } = groupByWindow(planned, 2)
  expect(rows.map(({ phone }) => phone)).toEqual([1, 3, 4, 0, 2])
  expect(chunks).toEqual([
    { ...east, first: 0, last: 1 },
    { ...east, first: 2, last: 2 },
    { ...west, first: 3, last: 4 },
  ])
})
