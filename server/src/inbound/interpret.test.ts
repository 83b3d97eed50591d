import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSent, markSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { claimInbound, listHandled } from './inbound.queries.ts'
import { interpretInbound, storeInbound } from './inbound.ts'

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
let connectionId: number
const rt = () => makeRuntime({ db: database.db })
const first = 2_065_560_001

beforeEach(async () => {
  database = await freshDatabase()
  connectionId = (await make.connection(database.db, { name: 'default' })).id
  const account = await make.account(database.db)
  const { id: shortCodeId } = await make.shortCode(database.db, { accountId: account.id, code: '77777' })
  list = await make.list(database.db, { accountId: account.id, shortCodeId })
})
afterEach(() => database.close())

const mo = (phone: number, content: string, shortCode = '77777', receivedAt = new Date()) => ({
  connectionId,
  shortCode,
  phone,
  content,
  raw: Buffer.from(content),
  dataCoding: 0,
  receivedAt,
})
const text = (...args: Parameters<typeof mo>) => storeInbound(database.db, mo(...args))

const count = (where: string) =>
  database.db.withClient(async (client) => {
    const { rowCount } = await client.query(`select from inbound_messages where ${where}`)
    return rowCount
  })

/** Submits a broadcast to this number of phones, without responses; returns a function that records the responses. */
async function submitTo(phones: number) {
  for (let n = 0; n < phones; n++) await make.subscriber(database.db, { listId: list.id, phone: first + n })
  await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Hello' })
  while (await expandOnce(rt()));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(database.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  const rows = await listQueued(database.db, chunk)
  expect(await markSubmitting(database.db, chunk, rows, new Date())).toHaveLength(phones)
  return () =>
    markSent(
      database.db,
      chunk.loggedOn,
      connectionId,
      rows.map((row) => ({ logId: row.id, phone: row.phone, part: 0, smscId: `id${row.id}`, complete: true })),
    )
}

test('confirmations that wait for responses of the carrier do not delay other opt-outs', async () => {
  const respond = await submitTo(60)
  for (let n = 0; n < 60; n++) await text(first + n, 'STOP')
  while (await interpretInbound(rt()));
  expect(await count('opted_out_at is not null')).toBe(60)
  expect(await count('interpreted_at is not null')).toBe(0)
  await text(first + 100, 'STOP')
  await interpretInbound(rt())
  expect(await count(`phone = ${first + 100} and opted_out_at is not null`)).toBe(1)
  await respond()
  while (await interpretInbound(rt()));
  expect(await count('interpreted_at is not null and reply_message_id is not null')).toBe(61)
})

test('a phone whose confirmation waits can send further STOPs, also to another short code, but its HELP waits', async () => {
  await make.shortCode(database.db, { accountId: list.accountId, code: '88888' })
  const respond = await submitTo(1)
  await text(first, 'STOP')
  while (await interpretInbound(rt()));
  const { id: again } = await text(first, 'Stop!')
  const { id: other } = await text(first, 'STOP', '88888')
  const { id: help } = await text(first, 'HELP')
  while (await interpretInbound(rt()));
  expect((await listHandled(database.db, [again, other, help])).sort()).toEqual([again, other])
  expect(await count(`short_code = '77777' and interpreted_at is not null`)).toBe(0)
  await respond()
  while (await interpretInbound(rt()));
  expect(await count('interpreted_at is null')).toBe(0)
  // one confirmation for each short code, and the reply to HELP
  expect(await count('reply_message_id is not null')).toBe(3)
})

test('a STOP suppresses queued rows before it is confirmed', async () => {
  await make.subscriber(database.db, { listId: list.id, phone: first })
  await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Hello' })
  while (await expandOnce(rt()));
  await text(first, 'STOP')
  await interpretInbound(rt())
  expect(await count('interpreted_at is null')).toBe(1)
  expect(await database.db.many('row', 'select state, reason from message_log')).toEqual([
    { state: 'suppressed', reason: 'opted_out' },
  ])
})

test('an MO that fails does not delay others', async () => {
  await database.db.exec(
    'function',
    `create function reject_one() returns trigger language plpgsql as
       $$ begin if new.phone = ${first} then raise 'no'; end if; return new; end $$`,
  )
  await database.db.exec(
    'trigger',
    'create trigger reject before update on inbound_messages for each row execute function reject_one()',
  )
  await text(first, 'STOP')
  await text(first + 1, 'STOP')
  while (await interpretInbound(rt()));
  expect(await count('interpreted_at is not null and reply_message_id is not null')).toBe(1)
})

test('a STOP that another gateway handled is not handled again', async () => {
  await make.subscriber(database.db, { listId: list.id, phone: first })
  await text(first, 'STOP')
  const { id } = await database.db.one<{ id: number }>('id', 'select id from inbound_messages')
  await interpretInbound(rt())
  expect(await claimInbound(database.db, { id }, false)).toBeUndefined()
  expect(await claimInbound(database.db, { id }, true)).toMatchObject({ listsLeft: 1 })
})

test('each of many STOPs is one opt-out with its own wording, even with two gateways', async () => {
  const phones = 600
  await database.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
     select $1, $2::bigint + n, now(), 'subscribed', '2020-01-01', '2020-01-01' from generate_series(0, $3 - 1) n`,
    [list.id, first, phones],
  )
  const { id: other } = await make.shortCode(database.db, { accountId: list.accountId, code: '88888' })
  const second = await make.list(database.db, { accountId: list.accountId, shortCodeId: other })
  await make.subscriber(database.db, { listId: second.id, phone: first })
  const { id } = await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Hello' })
  while (await expandOnce(rt()));
  await database.db.exec(
    'many_stops',
    `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
     select $1, '77777', $2::bigint + n, case when n % 50 = 7 then 'Hello' else 'Stop' || repeat('!', n % 9) end, '', 0, now()
       from generate_series(0, $3) n`,
    [connectionId, first, phones],
  )
  await text(first, 'HELP')
  const interpretAll = async () => {
    while (await interpretInbound(rt()));
  }
  await Promise.all([interpretAll(), interpretAll()])
  const optOuts = `select phone, wording, actor = 'mo:' || (select id from inbound_messages i where i.phone = o.phone
                       and i.content = o.wording) as by from opts o where list_id = $1 order by phone`
  const opts = await database.db.many<{ phone: number; wording: string; by: boolean }>('opt_outs', optOuts, [list.id])
  expect(opts).toHaveLength(phones - 12)
  expect(opts.every(({ phone, wording, by }) => by && wording === `Stop${'!'.repeat((phone - first) % 9)}`)).toBe(true)
  const counted = 'select -sum(subscribed)::int as n, sum(unsubscribed)::int as out from list_deltas where list_id = $1'
  expect(await database.db.one('counted', counted, [list.id])).toEqual({ n: phones - 12, out: phones - 12 })
  expect(await readCounters(database.db, id)).toMatchObject({ queued: 12, suppressed: phones - 12 })
  await checkCounters(database.db, id)
  // a number on no list is blocked as well; the lists of another short code are not affected
  expect(await database.db.many('blocks', 'select from blocks')).toHaveLength(phones - 12 + 1)
  const state = `select state from subscribers where list_id = $1`
  expect(await database.db.one('state', state, [second.id])).toEqual({ state: 'subscribed' })
  expect(await count('interpreted_at is null')).toBe(0)
  const replied = `phone = ${first} and interpreted_at is not null and reply_message_id is not null`
  expect(await count(replied)).toBe(2)
})

test.each([
  ['within 24 hours of a confirmed one is not confirmed again', 24 * 60 - 1, 1],
  ['more than 24 hours after a confirmed one is confirmed again', 24 * 60 + 1, 2],
])('a STOP %s', async (_, minutes, confirmations) => {
  const at = new Date('2031-05-06T09:00:00Z')
  const later = new Date(at.getTime() + minutes * 60_000)
  for (const now of [at, later]) {
    await text(first, 'STOP', '77777', now)
    while (await interpretInbound({ ...rt(), clock: { now: () => now } }));
  }
  expect(await count('interpreted_at is not null')).toBe(2)
  expect(await count('reply_message_id is not null')).toBe(confirmations)
})

test('two STOPs of one phone that two gateways confirm at the same time get one confirmation', async () => {
  // the MO with the lower id is committed only after the other one is opted out
  const lower = Promise.withResolvers<void>()
  const inserted = Promise.withResolvers<void>()
  const late = database.db.tx(async (tx) => {
    await storeInbound(tx, mo(first, 'STOP'))
    inserted.resolve()
    await lower.promise
  })
  await inserted.promise
  await text(first, 'STOP')
  const confirming = Promise.withResolvers<void>()
  const commit = Promise.withResolvers<void>()
  const isConfirmed = 'select from inbound_messages where reply_message_id is not null'
  const slow: Db = {
    ...database.db,
    tx: (work) =>
      database.db.tx(async (tx) => {
        const result = await work(tx)
        if ((await tx.many('is_confirmed', isConfirmed)).length > 0) {
          confirming.resolve()
          await commit.promise
        }
        return result
      }),
  }
  const interpretAll = async (db: Db) => {
    while (await interpretInbound({ ...rt(), db }));
  }
  const one = interpretAll(slow)
  await confirming.promise
  lower.resolve()
  await late
  const other = interpretAll(database.db)
  const waiting = `select from pg_locks where locktype = 'advisory' and not granted`
  const isWaiting = async () => (await database.db.many('waiting', waiting)).length > 0
  await Promise.race([other, waitFor(isWaiting, { what: 'the second gateway to wait' })])
  commit.resolve()
  await Promise.all([one, other])
  expect(await count('interpreted_at is not null')).toBe(2)
  expect(await count('reply_message_id is not null')).toBe(1)
})

test('a STOP soon after a confirmed one is confirmed if it unsubscribed the phone from a list', async () => {
  await text(first, 'STOP')
  while (await interpretInbound(rt()));
  await make.subscriber(database.db, { listId: list.id, phone: first })
  await text(first, 'STOP')
  while (await interpretInbound(rt()));
  expect(await count('reply_message_id is not null')).toBe(2)
})

test('HELP gets one reply per phone, short code and minute', async () => {
  let now = new Date('2026-03-02T10:00:00Z')
  const runtime = { ...makeRuntime({ db: database.db }), clock: { now: () => now } }
  await make.shortCode(database.db, { accountId: list.accountId, code: '88888' })
  const replies = () => count('reply_message_id is not null')
  const interpretAll = async () => {
    while (await interpretInbound(runtime));
  }
  // received at other times than they are interpreted, as after an outage
  for (let n = 0; n < 5; n++) await text(first, 'HELP', '77777', new Date(now.getTime() - n * 120_000))
  await interpretAll()
  expect(await replies()).toBe(1)
  await text(first + 1, 'HELP')
  await text(first, 'INFO', '88888')
  await interpretAll()
  expect(await replies()).toBe(3)
  now = new Date(now.getTime() + 59_000)
  await text(first, 'help!')
  await interpretAll()
  expect(await replies()).toBe(3)
  now = new Date(now.getTime() + 1_001)
  await text(first, 'help!')
  await interpretAll()
  expect(await replies()).toBe(4)
  expect(await count('interpreted_at is null')).toBe(0)
})

test('a phone gets at most ten replies of a short code in 24 hours, and its STOPs and STARTs still take effect', async () => {
  let now = new Date('2026-03-02T10:00:00Z')
  const runtime = { ...makeRuntime({ db: database.db }), clock: { now: () => now } }
  await database.db.exec('welcome', `update lists set second_optin_message = 'Welcome back'`)
  await make.subscriber(database.db, { listId: list.id, phone: first })
  await database.db.exec(
    'opt_in',
    `insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
     values ($1, $2, $3, 'opt_in', 'api', 'test', '2026-01-01')`,
    [list.accountId, list.id, first],
  )
  const send = async (content: string, phone = first) => {
    now = new Date(now.getTime() + 61_000)
    await text(phone, content, '77777', now)
    while (await interpretInbound(runtime));
  }
  const replies = () => count(`phone = ${first} and reply_message_id is not null`)
  const state = () => database.db.one('state', 'select state from subscribers')
  for (let n = 0; n < 4; n++) for (const content of ['HELP', 'STOP', 'START']) await send(content)
  expect(await replies()).toBe(10)
  expect(await state()).toEqual({ state: 'subscribed' })
  await send('STOP')
  expect(await state()).toEqual({ state: 'unsubscribed' })
  expect(await replies()).toBe(10)
  // another phone has its own
  await send('HELP', first + 1)
  expect(await count('reply_message_id is not null')).toBe(11)
  now = new Date(now.getTime() + 24 * 3_600_000)
  await send('HELP')
  expect(await replies()).toBe(11)
})

test('HELPs that wait for confirmations do not keep other MOs from being read', async () => {
  const phones = 260
  const respond = await submitTo(phones)
  for (const content of ['STOP', 'HELP'])
    await database.db.exec(
      `send_${content.toLowerCase()}`,
      `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
       select $1, '77777', $2::bigint + n, $3, '', 0, now() from generate_series(0, $4 - 1) n`,
      [connectionId, first, content, phones],
    )
  while (await interpretInbound(rt()));
  expect(await count('interpreted_at is not null')).toBe(0)
  const { id } = await text(first + 1_000, 'STOP')
  await interpretInbound(rt())
  expect(await listHandled(database.db, [id])).toEqual([id])
  await respond()
  while (await interpretInbound(rt()));
  expect(await count('interpreted_at is null')).toBe(0)
})
