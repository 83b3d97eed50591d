import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, test } from 'vitest'
import { useCli } from '../../test/cli.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { closeMessage } from '../log/close.queries.ts'
import { markRejected } from '../log/marks.queries.ts'
import { countReceived } from '../log/received.queries.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
import { runCli } from './cli.ts'

// The counters of two broadcasts, one of which is closed, a single text and a list are right until a test changes one of them.

const cli = useCli()
const day = '2031-03-02'
const now = new Date(`${day}T18:00:00Z`)
const firstPhone = 2_065_550_100
let list: { id: number; accountId: number; shortCodeId: number }
let closed: number
let open: number
let single: number
let statements = 0

const change = async (sql: string, values: unknown[] = []) => {
  expect(await cli.database.db.exec(`change_counters_${++statements}`, sql, values)).toBeGreaterThan(0)
}

beforeEach(async () => {
  const { db } = cli.database
  list = await make.list(db)
  for (let n = 0; n < 12; n++) await make.subscriber(db, { listId: list.id, phone: firstPhone + n })
  await make.subscriber(db, { listId: list.id, phone: 2_125_550_100, state: 'unsubscribed' })
  await make.subscriber(db, { listId: list.id, phone: 2_125_550_101, state: 'cleaned' })
  const rt = { ...makeRuntime({ db }), clock: { now: () => now } }
  const broadcast = async () => {
    const { id } = await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Soup' })
    while (await expandOnce(rt)) {}
    return id
  }
  closed = await broadcast()
  open = await broadcast()
  const text = {
    accountId: list.accountId,
    listId: list.id,
    shortCodeId: list.shortCodeId,
    content: 'Soup',
    field: 'number',
  }
  single = (await sendToNumbers(rt, { ...text, phones: [firstPhone] })).id
  await change(`update message_log set state = 'delivered', closed_at = $2 where message_id = $1 and phone < $3`, [
    closed,
    now,
    firstPhone + 10,
  ])
  await change(`update message_log set state = 'unknown' where message_id = $1 and phone >= $2`, [
    closed,
    firstPhone + 10,
  ])
  await change(
    `update message_counters set queued = queued - 12, delivered = 10, unknown = 2 where message_id = $1 and counter_row = 0`,
    [closed],
  )
  await change(`update messages set status = 'sent', sent_at = $2 where id = $1`, [closed, now])
  const overdue = { messageId: closed, loggedOn: day, requeuedAt: null }
  expect(await countReceived(db, overdue, 0)).toBeGreaterThan(0)
  expect(await closeMessage(db, overdue, now)).toBe(true)
})

async function reconcile(...options: string[]) {
  let failures = 0
  const output = await runCli({
    args: ['reconcile', '--json', ...options],
    env: { DATABASE_URL: cli.database.url },
    cwd: cli.folder,
    onFailure: () => failures++,
  })
  const found = JSON.parse(output)
  expect(failures).toBe(found.difference_count > 0 ? 1 : 0)
  return found
}

const differencesOf = async () => (await reconcile()).differences

test('finds no difference between counters that the product has maintained and the log', async () => {
  expect(await reconcile()).toEqual({
    days: expect.any(Number),
    archived_days: 0,
    messages: 3,
    lists: 1,
    lists_with_received: 1,
    difference_count: 0,
    differences: [],
  })
  expect(await cli.run('reconcile')).toMatch(
    /^Compared 3 messages of \d+ days, 1 lists, the received texts of 1 lists\. Differences: 0\.$/,
  )
})

test('reports a changed counter, and the same message if its period is selected', async () => {
  await change('update message_counters set delivered = delivered + 1 where message_id = $1 and counter_row = 3', [
    closed,
  ])
  const difference = { subject: `message ${closed}`, counter: 'delivered', stored: 11, recomputed: 10 }
  expect(await differencesOf()).toEqual([difference])
  expect((await reconcile('--from', day, '--to', day)).differences).toEqual([difference])
  expect((await reconcile('--from', '2031-03-03')).differences).toEqual([])
  expect((await reconcile('--to', '2031-03-01')).differences).toEqual([])
  expect(await cli.run('reconcile')).toMatch(
    new RegExp(`^SUBJECT +COUNTER +STORED +RECOMPUTED\nmessage ${closed} +delivered +11 +10\n.* Differences: 1\\.$`),
  )
})

test('prints the table on standard output and ends with exit code 1 if there is a difference, otherwise with 0', async () => {
  const script = fileURLToPath(new URL('../bin/carillon.ts', import.meta.url))
  const env = { DATABASE_URL: cli.database.url }
  const call = () => spawnSync(process.execPath, [script, 'reconcile'], { cwd: cli.folder, env, encoding: 'utf8' })
  const same = call()
  expect([same.status, same.stdout]).toEqual([0, expect.stringContaining('Differences: 0.')])
  await change('update message_counters set sent = sent + 1 where message_id = $1', [single])
  const different = call()
  expect([different.status, different.stdout]).toEqual([1, expect.stringMatching(/ sent +1 +0\n.*Differences: 1\./)])
})

test('reports a row in another state, of an open and of a closed message and of one to a single number', async () => {
  await change(`update message_log set state = 'cancelled' where message_id = $1 and phone = $2`, [open, firstPhone])
  await change(`update message_log set state = 'bounced' where message_id = $1 and phone = $2`, [
    closed,
    firstPhone + 11,
  ])
  await change(`update message_log set state = 'submitting' where message_id = $1`, [single])
  expect(await differencesOf()).toEqual([
    { subject: `message ${closed}`, counter: 'unknown', stored: 2, recomputed: 1 },
    { subject: `message ${closed}`, counter: 'bounced', stored: 0, recomputed: 1 },
    { subject: `message ${open}`, counter: 'queued', stored: 12, recomputed: 11 },
    { subject: `message ${open}`, counter: 'cancelled', stored: 0, recomputed: 1 },
    { subject: `message ${single}`, counter: 'queued', stored: 1, recomputed: 0 },
    { subject: `message ${single}`, counter: 'submitting', stored: 0, recomputed: 1 },
  ])
})

test('reports a lost row, and one that no message has', async () => {
  await change('delete from message_log where message_id = $1 and phone = $2', [open, firstPhone])
  const lost = [
    { subject: `message ${open}`, counter: 'audience', stored: 12, recomputed: 11 },
    { subject: `message ${open}`, counter: 'queued', stored: 12, recomputed: 11 },
  ]
  expect(await differencesOf()).toEqual([
    ...lost,
    { subject: `day ${day}`, counter: 'rows', stored: 25, recomputed: 24 },
  ])
  await change(
    `insert into message_log (id, logged_on, message_id, phone, state, part_count)
     select max(id) + 100000 + n, $1::date, $2, 2065550199, 'queued', 1 from message_log, generate_series(1, 3) n group by n`,
    [day, open],
  )
  expect(await differencesOf()).toEqual([
    ...lost,
    { subject: `day ${day}`, counter: 'rows', stored: 25, recomputed: 27 },
  ])
})

test('reports counters that are lost', async () => {
  await change('delete from message_counters where message_id = $1', [single])
  expect(await differencesOf()).toEqual([
    { subject: `message ${single}`, counter: 'audience', stored: 0, recomputed: 1 },
    { subject: `message ${single}`, counter: 'queued', stored: 0, recomputed: 1 },
    { subject: `day ${day}`, counter: 'rows', stored: 24, recomputed: 25 },
  ])
})

test('reports a clean_count without a text in the ledger', async () => {
  await change('update message_counters set clean_count = clean_count + 1 where message_id = $1 and counter_row = 0', [
    closed,
  ])
  expect(await differencesOf()).toEqual([
    { subject: `message ${closed}`, counter: 'clean_count', stored: 1, recomputed: 0 },
  ])
})

test('knows the numbers that were cleaned because of a text', async () => {
  const { db } = cli.database
  await change(`update message_log set state = 'submitting' where message_id = $1 and phone = $2`, [open, firstPhone])
  await change(
    'update message_counters set queued = queued - 1, submitting = submitting + 1 where message_id = $1 and counter_row = 0',
    [open],
  )
  const { id: logId } = await db.one<{ id: number }>(
    'find_submitting',
    `select id from message_log where state = 'submitting'`,
  )
  await markRejected(db, day, [{ logId, reason: 'hard', carrierStatus: 'ESME_RINVDSTADR' }], now)
  expect(await differencesOf()).toEqual([])
  await change('update message_counters set clean_count = 0 where message_id = $1', [open])
  expect(await differencesOf()).toEqual([
    { subject: `message ${open}`, counter: 'clean_count', stored: 0, recomputed: 1 },
  ])
})

test('reports counts of a list and of its ranges that its subscribers do not have', async () => {
  await change('update lists set subscribed_count = subscribed_count + 1 where id = $1', [list.id])
  expect(await differencesOf()).toEqual([
    { subject: `list ${list.id}`, counter: 'subscribed', stored: 13, recomputed: 12 },
  ])
  await change('update lists set subscribed_count = subscribed_count - 1 where id = $1', [list.id])
  await change(`update subscribers set state = 'subscribed' where list_id = $1 and phone = 2125550101`, [list.id])
  const of = (subject: string, subscribed: number) => [
    { subject, counter: 'subscribed', stored: subscribed - 1, recomputed: subscribed },
    { subject, counter: 'cleaned', stored: 1, recomputed: 0 },
  ]
  expect(await differencesOf()).toEqual([
    ...of(`list ${list.id}`, 13),
    ...of(`list ${list.id}, numbers 212...`, 1),
    ...of(`list ${list.id}, numbers 21255...`, 1),
  ])
})

test('reports received texts of a number that it did not receive, also if another number lacks as many', async () => {
  await change('update received_counts set messages = 2 where list_id = $1 and phone = $2', [list.id, firstPhone])
  const subject = `list ${list.id}, numbers 206...`
  expect(await differencesOf()).toEqual([{ subject, counter: 'received texts', stored: 11, recomputed: 10 }])
  await change('delete from received_counts where list_id = $1 and phone = $2', [list.id, firstPhone + 1])
  expect(await differencesOf()).toEqual([
    { subject, counter: 'received texts of other numbers', stored: 10, recomputed: 10 },
  ])
})

test('does not compare received texts of a list that has broadcasts of days that are no longer kept', async () => {
  await change('update received_counts set messages = 2 where list_id = $1 and phone = $2', [list.id, firstPhone])
  await cli.database.db.exec('drop_day', 'drop table message_log_20310302')
  const { messages, lists, lists_with_received, differences } = await reconcile()
  expect({ messages, lists, lists_with_received, differences }).toEqual({
    ...{ messages: 0, lists: 1, lists_with_received: 0 },
    differences: [],
  })
})

test('rejects a period that is not one of dates', async () => {
  await expect(cli.run('reconcile', '--from', 'soon')).rejects.toThrow('--from must be a date (YYYY-MM-DD), not soon')
})
