import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readCounters } from '../../test/sending.ts'
import { readEnv } from '../config/config.ts'
import { findAlarms } from '../connections/alarms.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { finishChunk } from '../log/leases.queries.ts'
import { markSent, markSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { closeOverdue } from './close.ts'
import { expandOnce } from './expand.ts'

const hourMs = 3_600_000
const later = (hours: number) => new Date(Date.now() + hours * hourMs)

let database: TestDatabase
let connectionId: number
let messageId: number
let logId: number
const rt = (at = new Date()) => ({ ...makeRuntime({ db: database.db }), clock: { now: () => at } })
const close = (hours: number) => closeOverdue(rt(later(hours)))
const counters = () => readCounters(database.db, messageId)
const phoneOf = (n: number) => 2_065_560_001 + n

/** A message of one text, which is sent. */
beforeEach(async () => {
  database = await freshDatabase()
  connectionId = (await make.connection(database.db, { name: 'default' })).id
  const list = await make.list(database.db)
  const { phone } = await make.subscriber(database.db, { listId: list.id, phone: phoneOf(0) })
  messageId = (await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Open at nine.' })).id
  while (await expandOnce(rt()));
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(database.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  const marked = await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), new Date())
  logId = marked[0] ?? 0
  await markSent(database.db, chunk.loggedOn, connectionId, [{ logId, phone, part: 0, smscId: 'a0', complete: true }])
  await finishChunk(database.db, chunk)
  expect(await finishMessages(database.db, new Date())).toBe(1)
})
afterEach(() => database.close())

const message = () =>
  database.db.one<{ closed: boolean }>(
    'message',
    'select closed_at is not null as closed from messages where id = $1',
    [messageId],
  )

describe('the receipt deadline', () => {
  const setDeadline = (name: string, seconds: number | null) =>
    database.db.exec(
      'set_deadline',
      `update connections set receipt_deadline_s = $2, serves_all = true where name = $1`,
      [name, seconds],
    )

  test("is the connection's own deadline if it has one", async () => {
    await setDeadline('default', 7_200)
    await close(1.9)
    expect(await counters()).toMatchObject({ sent: 1 })
    await close(2.1)
    expect(await counters()).toMatchObject({ expired: 1 })
    expect(await message()).toMatchObject({ closed: true })
  })

  test.each([2_147_483, 2_147_484, 2_592_000])(
    'of %i seconds delays only the messages of its connection',
    async (seconds) => {
      const other = await make.list(database.db)
      const longest = (await make.connection(database.db, { name: 'longest' })).id
      const sql = 'insert into short_code_routes (short_code_id, connection_id) values ($1, $2)'
      await database.db.exec('route', sql, [other.shortCodeId, longest])
      await setDeadline('longest', seconds)
      await database.db.exec('only_own', `update connections set serves_all = name = 'default'`)
      await make.subscriber(database.db, { listId: other.id, phone: phoneOf(9) })
      const theirs = await acceptBroadcast(rt(), { accountId: other.accountId, list: other, content: 'Open at nine.' })
      const sentAt = `update messages set status = 'sent', sent_at = now() where id = $1`
      await database.db.exec('sent', sentAt, [theirs.id])
      expect(await close(73)).toBe(1)
      expect(await message()).toMatchObject({ closed: true })
      await close(seconds / 3_600 - 0.1)
      const isClosed = () =>
        database.db.one<{ closed: boolean }>(
          'theirs',
          'select closed_at is not null as closed from messages where id = $1',
          [theirs.id],
        )
      expect(await isClosed()).toEqual({ closed: false })
      await close(seconds / 3_600 + 0.1)
      expect(await isClosed()).toEqual({ closed: true })
    },
  )

  test('of the installation may be as long as its setting permits', async () => {
    const config = readEnv({ CARILLON_RECEIPT_DEADLINE_S: '2592000' })
    const closeAt = (hours: number) => closeOverdue({ ...rt(later(hours)), config })
    expect(await closeAt(719.9)).toBe(0)
    expect(await closeAt(720.1)).toBe(1)
    expect(await message()).toMatchObject({ closed: true })
  })

  test("is the latest deadline of the short code's connections", async () => {
    await setDeadline('default', 7_200)
    const otherId = (await make.connection(database.db, { name: 'other' })).id
    await setDeadline('other', 14_400)
    await close(3.9)
    expect(await counters()).toMatchObject({ sent: 1 })
    await database.db.exec(
      'route',
      'insert into short_code_routes (short_code_id, connection_id) select id, $1 from short_codes',
      [connectionId],
    )
    expect(otherId).not.toBe(connectionId)
    await close(3.9)
    expect(await counters()).toMatchObject({ expired: 1 })
  })
})

test.each([
  ['one of three parts', 3, 0b100, 1],
  ['the first of two parts', 2, 0b01, 1],
  ['two of three parts', 3, 0b110, 0],
  ['none of three parts', 3, 0, 0],
  ['a text of one part', 1, 0, 0],
])(
  'an expired text with a receipt for %s: one receipt per text is proposed or not',
  async (_case, parts, delivered, proposals) => {
    await database.db.exec('set_parts', 'update message_log set part_count = $2, parts_delivered = $3 where id = $1', [
      logId,
      parts,
      delivered,
    ])
    const warnings: string[] = []
    const { log, ...rest } = rt(later(73))
    const warn = (_: object, line: string) => warnings.push(line)
    await closeOverdue({ ...rest, log: Object.assign(Object.create(log), { warn }) as typeof log })
    expect(await counters()).toMatchObject({ expired: 1 })
    expect(warnings).toHaveLength(proposals)
    const alarms = await findAlarms(database.db, [connectionId], later(73))
    expect(alarms.filter(({ name }) => name === 'one_receipt_per_text')).toHaveLength(proposals)
  },
)
