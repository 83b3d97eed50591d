import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { createLogDaysAhead } from '../broadcasts/close.ts'
import type { Db } from '../db/db.ts'
import { optOut } from '../opt-ins/opt-out.ts'
import { deleteEventsJob } from './events.jobs.ts'
import { numberEvents } from './sequence.ts'
import { returnEvents, setEventAside } from './set-aside.queries.ts'

// A payload has the values of the moment of the change, whatever changes until the event has its position.

const phone = 2_065_560_001
let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
const exec = (name: string, sql: string, params: unknown[] = []) => database.db.exec(name, sql, params)

beforeAll(async () => {
  database = await freshDatabase()
  await createLogDaysAhead(makeRuntime({ db: database.db }))
})
afterAll(() => database.close())
beforeEach(async () => {
  await newList()
  await exec(
    'values',
    `update subscribers set custom_fields = '{"shelf": 12, "since": "2031-05-06T16:00:00.000Z"}'
                         where list_id = $1`,
    [list.id],
  )
  await addField('shelf', 'number')
  await addField('since', 'datetime')
})

const addField = (key: string, type = 'text', defaultValue: string | null = null) =>
  exec(
    'add_field',
    `insert into custom_fields (list_id, key, label, content_type, max_length, default_value, created_at, updated_at)
     values ($1, $2, $2, $3, 40, $4, now(), now())`,
    [list.id, key, type, defaultValue],
  )

/** Adds a broadcast that this number received, or will. */
const send = (state: string) =>
  exec(
    'send',
    `with m as (
       insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                             created_at, accepted_at, sent_at)
       values ($1, $2, $3, 'broadcast', 'Hi', 'subscribed', 1, 'sent', current_date, now(), now(), now()) returning id)
     insert into message_log (id, logged_on, message_id, phone, state, part_count)
     select nextval('message_log_blocks') * 16384, current_date, id, $4, $5::message_state, 1 from m`,
    [list.accountId, list.id, list.shortCodeId, phone, state],
  )

const leave = () =>
  optOut(makeRuntime({ db: database.db }), {
    ...{ accountId: list.accountId, listId: list.id, phone, method: 'api', actor: 'key:1' },
  })

async function numbered(): Promise<Record<string, unknown>[]> {
  const payloads: string[] = []
  await numberEvents(database.db, async (_tx, events) => void payloads.push(...events.map(({ payload }) => payload)))
  return payloads.map((payload) => JSON.parse(payload))
}

test.each([
  ['renamed', `update custom_fields set key = 'rack' where list_id = $1 and key = 'shelf'`],
  ['deleted', 'delete from custom_fields where list_id = $1'],
  [
    'added',
    `insert into custom_fields (list_id, key, label, content_type, max_length, default_value, created_at, updated_at)
     select $1, key, key, 'text', 9, 'none', now(), now() from unnest('{aisle,gate}'::text[]) key`,
  ],
])(
  'fields that are %s before the event has a position do not change it, and later events have the new ones',
  async (way, sql) => {
    await leave()
    await exec(way, sql, [list.id])
    const [payload = {}] = await numbered()
    expect(Object.keys(payload).slice(-3)).toEqual(['total_messages_received', 'shelf', 'since'])
    expect(payload).toMatchObject({ shelf: 12 })
    await come()
    const [next = {}] = await numbered()
    const keys = { renamed: ['rack', 'since'], deleted: [], added: ['shelf', 'since', 'aisle', 'gate'] }[way]
    expect(fieldsOf(next)).toEqual(keys)
  },
)

/** The custom fields of payloads, which follow after the fixed keys. */
const fieldsOf = (payload: Record<string, unknown>) =>
  Object.keys(payload).slice(Object.keys(payload).indexOf('total_messages_received') + 1)

const come = async () => {
  await exec('come', `update subscribers set state = 'subscribed' where list_id = $1`, [list.id])
  await exec(
    'opt_in',
    `insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
     values ($1, $2, $3, 'opt_in', 'api', 'key:1', now())`,
    [list.accountId, list.id, phone],
  )
}

const stored = () => database.db.many<{ list: number }>('stored', 'select list_id as list from event_fields')

async function newList() {
  list = await make.list(database.db)
  await exec('listen', 'update lists set listeners = 31 where id = $1', [list.id])
  await make.subscriber(database.db, { listId: list.id, phone })
}

test('of several changes, each event has the fields of its moment, and those of another list its own', async () => {
  const changed = list
  await newList()
  await addField('own')
  await leave()
  const expected = [['own']]
  const keys = ['shelf', 'since']
  list = changed
  for (let n = 0; n < 5; n++) {
    await (n % 2 ? come() : leave())
    expected.push([...keys])
    // two changes without an event between them
    for (const key of [`gate${n}`, `row${n}`]) {
      await addField(key)
      keys.push(key)
    }
  }
  await come()
  expect((await numbered()).map(fieldsOf)).toEqual([...expected, keys])
})

test('a change of fields between the statements that take an event and read its fields does not change it', async () => {
  await leave()
  const { db } = database
  const changes = async () => {
    await exec('delete', 'delete from custom_fields where list_id = $1', [list.id])
  }
  const payloads: string[] = []
  const racing: Db = { ...db, tx: (work) => db.tx((tx) => work(afterTaking(tx, changes))) }
  await numberEvents(racing, async (_tx, events) => void payloads.push(...events.map(({ payload }) => payload)))
  expect(payloads.map((payload) => fieldsOf(JSON.parse(payload)))).toEqual([['shelf', 'since']])
})

/** Returns a Db that does something before the statement after the one that takes events. */
function afterTaking(tx: Db, work: () => Promise<void>): Db {
  const many: Db['many'] = async (name, ...rest) => {
    const rows = await tx.many(name, ...rest)
    if (name === 'take_recorded_events') await work()
    return rows as never
  }
  return { ...tx, many }
}

test('a change of fields changes no row of the outbox, and waits for no sequencer', async () => {
  for (let n = 0; n < 3; n++) await (n % 2 ? come() : leave())
  const places = () =>
    database.db.many<{ xmax: string }>(
      'places',
      'select id, ctid, xmin::text, xmax::text from event_outbox order by id',
    )
  const before = await places()
  await database.db.tx(async (tx) => {
    await tx.exec('take', 'select from event_outbox for update')
    await addField('aisle')
  })
  const after = await places()
  expect(after.map(({ xmax, ...rest }) => rest)).toEqual(before.map(({ xmax, ...rest }) => rest))
  expect((await numbered()).map(fieldsOf)).toEqual(Array(3).fill(['shelf', 'since']))
})

test('stored fields are deleted when no event needs them, by the next change and by the job', async () => {
  const run = () => deleteEventsJob.run(makeRuntime({ db: database.db }), {}, new AbortController().signal)
  await run()
  expect(await stored()).toEqual([])
  await addField('aisle')
  expect(await stored()).toEqual([])

  await leave()
  const { id } = await database.db.one<{ id: number }>('outbox', 'select id from event_outbox')
  await addField('gate')
  await setEventAside(database.db, id, 'TypeError', new Date())
  await come()
  await addField('row')
  await run()
  expect(await stored()).toHaveLength(2)
  await numbered()
  await run()
  // the event that is set aside needs one
  expect(await stored()).toHaveLength(2)
  await returnEvents(database.db, { id }, 1)
  expect((await numbered()).map(fieldsOf)).toEqual([['shelf', 'since', 'aisle']])
  await leave()
  await addField('end')
  expect(await stored()).toHaveLength(1)
  await numbered()
  await run()
  expect(await stored()).toEqual([])
})

test('a time zone that changes before the event has a position does not change it', async () => {
  await leave()
  await exec('zone', `update accounts set time_zone = 'Asia/Tokyo' where id = $1`, [list.accountId])
  const [payload] = await numbered()
  expect(payload).toMatchObject({
    timestamp: expect.stringMatching(/-0[78]:00$/),
    since: '2031-05-06T09:00:00.000-07:00',
  })
})

test('texts that are received before the event has a position are not counted', async () => {
  await send('delivered')
  await send('sent')
  await send('queued')
  await exec('earlier', 'insert into received_counts values ($1, $2, 3)', [list.id, phone])
  await leave()
  await exec('deliver', `update message_log set state = 'delivered' where phone = $1`, [phone])
  await exec('more', 'update received_counts set messages = 30 where list_id = $1', [list.id])
  expect(await numbered()).toMatchObject([{ type: 'unsubscribe', total_messages_received: 5 }])
})

test('fields that change while an event is set aside do not change it', async () => {
  await leave()
  const { id } = await database.db.one<{ id: number }>('outbox', 'select id from event_outbox')
  await setEventAside(database.db, id, 'TypeError', new Date())
  await exec('delete', 'delete from custom_fields where list_id = $1', [list.id])
  await returnEvents(database.db, { id }, 1)
  expect(await numbered()).toMatchObject([{ type: 'unsubscribe', shelf: 12 }])
})
