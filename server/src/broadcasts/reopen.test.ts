import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { abandonSubmitting, releaseChunks, renewLeases } from '../log/leases.queries.ts'
import { markSubmitting, unmarkSubmitting } from '../log/marks.queries.ts'
import { queueForLater } from '../log/retry.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { expandOnce } from './expand.ts'
import { reopenClosed, suppressLate } from './reopen.ts'

// Messages with quiet hours: the windows of their recipients, and the recipients for whom it has become too late.

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
let now: Date
const at = (time: string) => {
  now = new Date(time)
}
const rt = () => ({ ...makeRuntime({ db: database.db }), clock: { now: () => now } })

const seattle = 2_065_560_001
const tampa = 8_135_560_001
const providence = 4_015_560_001

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
  for (const phone of [seattle, tampa, providence]) await make.subscriber(database.db, { listId: list.id, phone })
  await set(`update accounts set quiet_hours = true where id = ${list.accountId}`)
})
afterEach(() => database.close())

let statements = 0
const set = (sql: string) => database.db.exec(`set_${++statements}`, sql)

async function send(): Promise<number> {
  const { id } = await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Soup on Friday' })
  while (await expandOnce(rt()));
  return id
}

/** Returns the queued numbers of each open chunk, with the start and the end of its window. */
async function windows() {
  const rows = await database.db.many<{ phones: number[]; opens: Date; closes: Date | null }>(
    'windows',
    `select array_agg(l.phone order by l.phone) as phones, c.due_at as opens, c.closes_at as closes
       from send_chunks c join message_log l on l.id between c.first_log_id and c.last_log_id and l.state = 'queued'
      where c.done_at is null group by c.id order by c.due_at, c.id`,
  )
  const short = (time: Date | null) => time && `${time.toISOString().slice(5, 16)}Z`
  return rows.map((row) => [row.phones.join(' '), short(row.opens), short(row.closes)])
}

const claim = async () => {
  const given = { owner: crypto.randomUUID(), leaseMs: 60_000, now, fromLane: 0, toLane: 9, limit: 10 }
  return claimChunks(database.db, { ...given, codes: { allBut: true, ids: [] } })
}

const reasons = (messageId: number) =>
  database.db.many(
    'reasons',
    'select phone, reason from message_log where message_id = $1 and reason is not null order by phone',
    [messageId],
  )

const all = [String(seattle), String(tampa), String(providence)]

describe('a broadcast', () => {
  test('gives each chunk the window of its location, and the next one when that has closed', async () => {
    at('2031-05-06T23:30:00Z')
    await send()
    expect(await windows()).toEqual([
      [all[0], '05-06T23:30Z', '05-07T03:00Z'],
      [all[1], '05-06T23:30Z', '05-07T00:00Z'],
      [all[2], '05-07T13:00Z', '05-07T22:00Z'],
    ])
    expect(await claim()).toHaveLength(2)
    await set(`update send_chunks set lease_until = null`)
    at('2031-05-07T00:00:00Z')
    expect(await claim()).toHaveLength(1)
    await set(`update send_chunks set lease_until = null`)
    expect(await reopenClosed(rt())).toBe(true)
    expect(await windows()).toEqual([
      [all[0], '05-06T23:30Z', '05-07T03:00Z'],
      [all[1], '05-07T12:00Z', '05-08T00:00Z'],
      [all[2], '05-07T13:00Z', '05-07T22:00Z'],
    ])
    expect(await reopenClosed(rt())).toBe(false)
  })

  test('is not reopened while a gateway has leased its chunks', async () => {
    at('2031-05-06T23:30:00Z')
    await send()
    await claim()
    at('2031-05-07T10:00:00Z')
    expect(await reopenClosed(rt())).toBe(false)
  })

  test.each([
    ['no recipient has a window any more', `update lists set send_from = '20:00', send_to = '22:00'`],
    ['there is a window tomorrow', 'select'],
  ])('is not requeued by a gateway that resumes after its lease has expired when %s', async (_, change) => {
    at('2031-05-06T23:30:00Z')
    const id = await send()
    const oldChunk = (await claim()).find((chunk) => chunk.closesAt?.toISOString() === '2031-05-07T00:00:00.000Z')
    if (!oldChunk) throw new Error('no chunk that closes at midnight')
    const queued = await listQueued(database.db, oldChunk)
    const marked = await markSubmitting(database.db, oldChunk, queued, now)
    expect(marked).toHaveLength(1)
    await set(`update send_chunks set lease_until = clock_timestamp() - interval '1 second'`)
    await set(change)
    at('2031-05-07T00:00:00Z')
    expect(await reopenClosed(rt())).toBe(true)
    // the suspended gateway resumes: it cannot requeue its marked rows for the closed window
    expect(await unmarkSubmitting(database.db, oldChunk, marked)).toBe(0)
    expect(await queueForLater(database.db, oldChunk, marked, now)).toBe(0)
    expect(await renewLeases(database.db, 60_000, [oldChunk])).toEqual(new Map())
    await releaseChunks(database.db, [oldChunk])
    at('2031-05-07T12:00:00Z')
    const [next] = (await claim()).filter((chunk) => chunk.id === oldChunk.id)
    if (!next) throw new Error('the chunk was not leased again')
    expect(await markSubmitting(database.db, oldChunk, queued, now)).toEqual([])
    expect(await abandonSubmitting(database.db, next)).toBe(1)
    expect(await listQueued(database.db, next)).toEqual([])
    expect(await readCounters(database.db, id)).toMatchObject({ queued: 2, submitting: 0, unknown: 1 })
    await checkCounters(database.db, id)
  })

  test('gets each next window once from concurrent workers', async () => {
    at('2031-05-06T23:30:00Z')
    await send()
    at('2031-05-07T10:00:00Z')
    await Promise.all([reopenClosed(rt()), reopenClosed(rt()), reopenClosed(rt())])
    while (await reopenClosed(rt()));
    expect((await windows()).map(([, opens]) => opens)).toEqual(['05-07T12:00Z', '05-07T13:00Z', '05-07T15:00Z'])
  })

  test('is suppressed for recipients whose next window opens after its deadline', async () => {
    at('2031-05-06T23:30:00Z')
    const id = await send()
    await set(`update messages set deliver_by = '2031-05-07T14:00:00Z'`)
    at('2031-05-07T03:00:00Z')
    while (await reopenClosed(rt()));
    expect(await reasons(id)).toEqual([{ phone: seattle, reason: 'too_late' }])
    expect(await windows()).toEqual([
      [all[1], '05-07T12:00Z', '05-08T00:00Z'],
      [all[2], '05-07T13:00Z', '05-07T22:00Z'],
    ])
    await checkCounters(database.db, id)
    // the other recipients are suppressed at the deadline
    expect(await suppressLate(rt())).toBe(0)
    at('2031-05-07T14:00:00Z')
    expect(await suppressLate(rt())).toBe(1)
    expect(await readCounters(database.db, id)).toMatchObject({ audience: 3, queued: 0, suppressed: 3 })
    await checkCounters(database.db, id)
    expect(await finishMessages(database.db, now)).toBe(1)
  })

  test('continues immediately when quiet hours are switched off', async () => {
    at('2031-05-06T23:30:00Z')
    await send()
    await set(`update accounts set quiet_hours = false`)
    at('2031-05-07T03:00:00Z')
    while (await reopenClosed(rt()));
    expect((await windows()).filter(([, , closes]) => closes === null)).toEqual([
      [all[0], '05-07T03:00Z', null],
      [all[1], '05-07T03:00Z', null],
    ])
  })

  test('is not sent to a location whose hours never overlap its own', async () => {
    await set(`update lists set send_from = '18:00', send_to = '20:00'`)
    at('2031-05-06T23:30:00Z')
    const id = await send()
    expect(await reasons(id)).toEqual([{ phone: providence, reason: 'no_window' }])
    await set(`update lists set send_from = '20:00', send_to = '22:00'`)
    at('2031-05-07T03:00:00Z')
    while (await reopenClosed(rt()));
    expect(await readCounters(database.db, id)).toMatchObject({ queued: 0, suppressed: 3 })
    await checkCounters(database.db, id)
  })

  test('with a local time is sent at that time of each location, within the hours there', async () => {
    at('2031-05-06T12:00:00Z')
    const { id } = await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Soup on Friday' })
    await set(`update messages set local_at = '2031-05-06 19:00' where id = ${id}`)
    while (await expandOnce(rt()));
    expect(await windows()).toEqual([
      [all[1], '05-06T23:00Z', '05-07T00:00Z'],
      [all[0], '05-07T02:00Z', '05-07T03:00Z'],
      [all[2], '05-07T13:00Z', '05-07T22:00Z'],
    ])
    // after the local time, only the hours of the location matter
    at('2031-05-07T12:30:00Z')
    while (await reopenClosed(rt()));
    expect((await windows()).map(([, opens]) => opens)).toEqual(['05-07T12:30Z', '05-07T13:00Z', '05-07T15:00Z'])
  })

  test('that is paused overnight continues in the morning', async () => {
    at('2031-05-06T23:30:00Z')
    const id = await send()
    await set(`update send_chunks set paused = true`)
    await set(`update messages set paused_at = '2031-05-06T23:31:00Z' where id = ${id}`)
    at('2031-05-07T15:00:00Z')
    while (await reopenClosed(rt()));
    expect(await claim()).toEqual([])
    await set(`update send_chunks set paused = false`)
    expect(await claim()).toHaveLength(3)
  })
})
