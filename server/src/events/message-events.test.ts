import { afterEach, beforeEach, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { reportSent } from './message-events.ts'
import { numberEvents } from './sequence.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })
const minutes = (n: number) => new Date(start.getTime() + n * 60_000)

let listId: number

beforeEach(async () => {
  await api.db.exec('forget', 'delete from event_outbox')
  listId = (await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })).id
  await listen(4)
})
afterEach(() => {
  clock.time = start
})

const listen = (listeners: number) =>
  api.db.exec('listen', 'update lists set listeners = $2 where id = $1', [listId, listeners])

type Given = { status?: string; billed?: boolean; counts?: Partial<Record<string, number>>; kind?: string }

/** Adds a message that was sent at the start, with these counts of recipients. */
async function add({ status = 'sent', billed = true, counts = { delivered: 3 }, kind = 'broadcast' }: Given = {}) {
  const { id } = await api.db.one<{ id: number }>(
    'add',
    `insert into messages (account_id, list_id, short_code_id, kind, name, content, consent, part_count, status, logged_on,
                           created_at, accepted_at, sent_at, billed_at)
     values ($1, $2, $3, $4, 'Friday', 'Soup for {first_name}', 'subscribed', 1, $5, '2026-03-02', $6, $6,
             case $5::text when 'sent' then $6::timestamptz end, case when $7 then $6::timestamptz end) returning id`,
    [api.owner.accountId, listId, api.owner.shortCode.id, kind, status, start, billed],
  )
  await count(id, counts)
  return id
}
/** Adds to the counts of a message, in a further counter row. */
const count = (id: number, counts: Partial<Record<string, number>>) =>
  api.db.exec(
    `count_${Object.keys(counts)}`.slice(0, 63),
    `insert into message_counters (message_id, counter_row, ${Object.keys(counts)})
     select $1, count(*), ${Object.values(counts)} from message_counters where message_id = $1`,
    [id],
  )

/** Reports until nothing is left, and returns the payloads. */
async function report() {
  while (await reportSent({ db: api.db, clock }));
  const payloads: Record<string, unknown>[] = []
  await numberEvents(api.db, async (_tx, events) => {
    for (const { payload } of events) payloads.push(JSON.parse(payload))
  })
  return payloads
}

test('a sent broadcast is reported once, in the order of the contract', async () => {
  const counts = {
    delivered: 5,
    bounced: 2,
    expired: 1,
    suppressed: 4,
    cancelled: 1,
    clean_count: 1,
    unsubscribe_count: 2,
  }
  const id = await add({ counts })
  await api.db.exec(
    'bill',
    `insert into message_bills (message_id, parts, least_parts, most_parts, cost, billed_at) values ($1, 8, 1, 1, 0.0632, now())`,
    [id],
  )
  const [payload, ...others] = await report()
  expect(others).toEqual([])
  expect(Object.entries(payload ?? {})).toEqual(
    Object.entries({
      type: 'message_sent',
      timestamp: '2026-03-02T02:00:00-08:00',
      account_id: api.owner.accountId,
      campaign_id: listId,
      message_id: id,
      message_name: 'Friday',
      sent_timestamp: '2026-03-02T02:00:00-08:00',
      is_mms: false,
      content: 'Soup for {first_name}',
      recipient_count: '8',
      success_count: 5,
      bounce_count: 3,
      clean_count: 1,
      unsubscribe_count: 2,
      send_cost: 0.06,
    }),
  )
  clock.time = minutes(60)
  expect(await report()).toEqual([])
})

test.each(['queued', 'submitting', 'sent', 'unknown'])(
  'a row that is %s delays it, until ten minutes after it was sent',
  async (state) => {
    await add({ counts: { delivered: 2, [state]: 1 } })
    clock.time = new Date(minutes(10).getTime() - 1)
    expect(await report()).toEqual([])
    clock.time = minutes(10)
    expect(await report()).toMatchObject([{ recipient_count: '3', success_count: 2, bounce_count: 0 }])
  },
)

test('the last result is reported at once; later results are not reported', async () => {
  const id = await add({ counts: { delivered: 2, sent: 1 } })
  clock.time = minutes(3)
  expect(await report()).toEqual([])
  await count(id, { sent: -1, delivered: 1 })
  expect(await report()).toMatchObject([{ timestamp: '2026-03-02T02:03:00-08:00', success_count: 3 }])
  await count(id, { delivered: -1, bounced: 1 })
  expect(await report()).toEqual([])
})

test('a bill that is missing delays it', async () => {
  const id = await add({ billed: false })
  expect(await report()).toEqual([])
  await api.db.exec('billed', 'update messages set billed_at = now() where id = $1', [id])
  expect(await report()).toHaveLength(1)
})

test('concurrent workers report each broadcast once', async () => {
  const database = await freshDatabase()
  try {
    const list = await make.list(database.db)
    await database.db.exec('listen', 'update lists set listeners = 4')
    await database.db.exec(
      'add',
      `with added as (
         insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                               created_at, accepted_at, sent_at, billed_at)
         select $1, $2, $3, 'broadcast', 'Soup', 'subscribed', 1, 'sent', '2026-03-02', $4, $4, $4, $4
           from generate_series(1, 250) returning id)
       insert into message_counters (message_id, delivered) select id, 1 from added`,
      [list.accountId, list.id, list.shortCodeId, start],
    )
    const work = async () => {
      while (await reportSent({ db: database.db, clock }));
    }
    await Promise.all([work(), work(), work(), work()])
    const counts = `select count(*)::int as n, count(distinct facts ->> 'id')::int as messages from event_outbox`
    expect(await database.db.one('counts', counts)).toEqual({ n: 250, messages: 250 })
  } finally {
    await database.close()
  }
})

test('texts to given numbers, broadcasts that are being sent, and those of a deleted list are not reported', async () => {
  await add({ kind: 'transactional' })
  await add({ status: 'sending' })
  await add({ status: 'cancelled' })
  expect(await report()).toEqual([])
  await add()
  await api.db.exec('delete', 'update lists set deleted_at = now() where id = $1', [listId])
  expect(await report()).toEqual([])
})

test('a broadcast that nobody listens to is not reported later', async () => {
  await listen(0)
  await add()
  expect(await report()).toEqual([])
  await listen(4)
  clock.time = minutes(60)
  expect(await report()).toEqual([])
})
