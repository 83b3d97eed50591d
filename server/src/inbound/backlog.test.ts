import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import type { Db } from '../db/db.ts'
import { planSettings } from '../gateway/gateway.ts'
import { listHandled } from './inbound.queries.ts'
import { interpretInbound, storeInbound } from './inbound.ts'
import {
  listUnconfirmedInbound,
  listUnhandledInbound,
  listWaitingDestinations,
  listWaitingOptOuts,
} from './waiting.queries.ts'

// Many MOs that wait, as after an outage or in a flood: those of one phone or destination do not delay those of others.

let database: TestDatabase
let accountId: number
let listId: number
let connectionId: number
const rt = () => makeRuntime({ db: database.db })
const first = 2_065_560_001

beforeEach(async () => {
  database = await freshDatabase()
  connectionId = (await make.connection(database.db, { name: 'default' })).id
  accountId = (await make.account(database.db)).id
  const { id: shortCodeId } = await make.shortCode(database.db, { accountId, code: '77777' })
  listId = (await make.list(database.db, { accountId, shortCodeId })).id
})
afterEach(() => database.close())

const text = (phone: number, content: string, shortCode = '77777') =>
  storeInbound(database.db, {
    connectionId,
    shortCode,
    phone,
    content,
    raw: Buffer.from(content),
    dataCoding: 0,
    receivedAt: new Date(),
  })

const count = (where: string) =>
  database.db.withClient(async (client) => {
    const { rowCount } = await client.query(`select from inbound_messages where ${where}`)
    return rowCount
  })

test('a STOP after many ordinary texts is handled soon', async () => {
  await database.db.exec(
    'ordinary_texts',
    `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
     select $1, '77777', $2::bigint + n, 'Hello', '', 0, now() from generate_series(1, 600) n`,
    [connectionId, first],
  )
  await text(first, 'STOP')
  for (let calls = 0; calls < 3; calls++) await interpretInbound(rt())
  expect(await count(`kind = 'opt_out' and opted_out_at is not null`)).toBe(1)
  expect(await count(`kind = 'other' and interpreted_at is not null`)).toBe(600)
})

test('many texts of one phone do not delay the STOP of another', async () => {
  for (const [n, content] of ['HELP', 'STOP', 'Stop!'].entries())
    await database.db.exec(
      `flood_${n}`,
      `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
       select $1, '77777', $2::bigint, $3, '', 0, now() from generate_series(1, 300)`,
      [connectionId, first, content],
    )
  await text(first + 1, 'STOP')
  for (let round = 0; round < 4; round++) await interpretInbound(rt())
  expect(await count(`phone = ${first + 1} and opted_out_at is not null`)).toBe(1)
  while (await interpretInbound(rt()));
  expect(await count('interpreted_at is null')).toBe(0)
  // one confirmation each, and one reply to HELP
  expect(await count(`phone = ${first} and reply_message_id is not null`)).toBe(2)
  expect(await count(`phone = ${first + 1} and reply_message_id is not null`)).toBe(1)
})

/** Stores a text from each of this number of phones, as after an outage. */
const flood = (content: string, phones: number, shortCode = '77777') =>
  database.db.exec(
    'flood',
    `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
     select $1, $2, $3::bigint + n, $4, '', 0, now() from generate_series(1, $5::int) n`,
    [connectionId, shortCode, first + 10_000, content, phones],
  )

test('many HELPs of many phones delay neither a STOP nor the HELP to another short code', async () => {
  await make.shortCode(database.db, { accountId, code: '88888' })
  await flood('HELP', 400)
  const { id: stop } = await text(first, 'STOP')
  const { id: help } = await text(first, 'HELP', '88888')
  await interpretInbound(rt())
  expect((await listHandled(database.db, [stop, help])).sort()).toEqual([stop, help])
  // one call replies to 50 of them
  expect(await count(`kind = 'help'`)).toBe(50)
})

test('the texts of a phone before its STOP are interpreted with it, in order', async () => {
  await make.subscriber(database.db, { listId: listId, phone: first })
  await text(first, 'STOP')
  while (await interpretInbound(rt()));
  await flood('HELP', 400)
  for (let n = 0; n < 60; n++) await text(first, 'Hello')
  const { id: start } = await text(first, 'START')
  const { id: stop } = await text(first, 'STOP')
  for (let calls = 0; calls < 4; calls++) await interpretInbound(rt())
  expect((await listHandled(database.db, [start, stop])).sort()).toEqual([start, stop])
  expect(await count(`id = ${start} and kind = 'opt_in'`)).toBe(1)
  expect(await database.db.many('blocks', 'select from blocks')).toHaveLength(1)
  expect(await count(`kind = 'help'`)).toBeLessThan(400)
})

/** Makes each update of an MO fail that fulfills the condition. */
async function failIf(condition: string) {
  await database.db.exec(
    'fail_function',
    `create function fail() returns trigger language plpgsql as $$ begin raise 'no'; end $$`,
  )
  await database.db.exec(
    'fail_trigger',
    `create trigger fail before update on inbound_messages for each row when (${condition}) execute function fail()`,
  )
}

test('a text behind hundreds that fail each time is interpreted', async () => {
  await failIf(`new.phone < ${first + 20_000}`)
  await flood('Hello', 300)
  const { id } = await text(first + 20_000, 'Hello')
  const warnings: unknown[] = []
  const { log, ...rest } = rt()
  const warn = (...args: unknown[]) => warnings.push(args)
  await interpretInbound({ ...rest, log: Object.assign(Object.create(log), { warn }) as typeof log })
  expect(await listHandled(database.db, [id])).toEqual([id])
  // each MO is tried once: two batches, and groups of 50
  expect(warnings.length).toBeLessThan(12)
})

/** Stores texts to each of 300 unknown destinations. */
const floodDestinations = (texts: number) =>
  database.db.exec(
    'destinations',
    `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
     select $1, (20000 + n)::text, $2::bigint + n, 'Hello', '', 0, now()
       from generate_series(1, 300) n, generate_series(1, $3::int)`,
    [connectionId, first, texts],
  )

test('texts to hundreds of destinations are interpreted in turns', async () => {
  await floodDestinations(3)
  const isDone = () => count(`short_code = '20300' and interpreted_at is not null`)
  await interpretInbound(rt())
  expect(await isDone()).toBe(0)
  await interpretInbound(rt())
  expect(await isDone()).toBe(3)
  while (await interpretInbound(rt()));
  expect(await count('interpreted_at is null')).toBe(0)
})

test('a text behind those to hundreds of destinations that fail is interpreted', async () => {
  await failIf(`new.short_code < '20300'`)
  await floodDestinations(1)
  expect(await interpretInbound(rt())).toBe(true)
  expect(await count('interpreted_at is not null')).toBe(1)
  expect(await interpretInbound(rt())).toBe(false)
})

test('the next MOs of a long backlog are found by an index', async () => {
  // the waiting ones are the last ones, behind many that are interpreted
  await database.db.exec(
    'backlog',
    `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at, interpreted_at,
                                   opted_out_at, kind)
     select $1, '77777', $2::bigint + n, 'Hello', '', 0, now(), case when n <= 60000 then now() end,
            case when n > 65000 then now() end,
            case when n <= 60000 then 'other' when n > 64000 then 'opt_out' end
       from generate_series(1, 70000) n`,
    [connectionId, first],
  )
  await database.db.exec('analyze', 'analyze inbound_messages')
  for (const statement of [
    (db: Db) => listUnhandledInbound(db, [{ code: '77777', after: 0 }], 250),
    (db: Db) => listWaitingOptOuts(db, 0, 250, 50),
    (db: Db) => listUnconfirmedInbound(db, 250),
  ]) {
    const { buffers, rows } = await explain(database, statement, planSettings)
    expect(rows).toBe(250)
    // a scan of all MOs reads more than 700 pages besides those that the next ones need
    expect(buffers).toBeLessThan(rows * 8)
  }
  const destinations = await explain(database, (db) => listWaitingDestinations(db, '', 250), planSettings)
  expect(destinations.rows).toBe(1)
  expect(destinations.buffers).toBeLessThan(20)
})
