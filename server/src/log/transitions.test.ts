import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { type Db, poolDb } from '../db/db.ts'
import { makePool } from '../db/pool.ts'
import { retryLostRaces } from '../db/retry.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { cancelChunks } from './cancel.queries.ts'
import type { Chunk } from './chunk.ts'
import { claimChunks } from './claims.queries.ts'
import { expireChunks, requeueUnknown } from './close.queries.ts'
import { abandonSubmitting } from './leases.queries.ts'
import { markRejected, markSent, markSubmitting, markUnknown, unmarkSubmitting } from './marks.queries.ts'
import { suppressQueued } from './opt-out.queries.ts'
import { applyReceipts } from './receipts.queries.ts'
import { suppressChunks } from './reopen.queries.ts'
import { queueForLater } from './retry.queries.ts'
import { type LogColumn, type State, states, type TransitionName, transitions } from './transitions.ts'

const now = new Date('2031-05-06T18:00:00Z')
const recipients = 2 * states.length

let database: TestDatabase
let pool: ReturnType<typeof makePool>
let db: Db
let message: { messageId: number; loggedOn: string; requeuedAt: null }
let chunk: Chunk
let connectionId: number
let rows: Array<{ id: number; phone: number; partCount: number }>
let smscIds = 0

beforeAll(async () => {
  database = await freshDatabase()
  pool = makePool(database.url, pino({ level: 'silent' }), { max: 6 })
  db = poolDb(pool)
  connectionId = (await make.connection(db)).id
  const list = await make.list(db)
  for (let n = 0; n < recipients; n++) await make.subscriber(db, { listId: list.id })
  const rt = { ...makeRuntime({ db }), clock: { now: () => now } }
  const { id } = await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Soup on Friday' })
  while (await expandOnce(rt));
  const claim = { owner: crypto.randomUUID(), leaseMs: 3_600_000, now, fromLane: 0, toLane: 9, limit: 1 }
  chunk = (await claimChunks(db, claim))[0] as Chunk
  message = { messageId: id, loggedOn: chunk.loggedOn, requeuedAt: null }
  rows = await db.many('rows', 'select id, phone, part_count as "partCount" from message_log order by id')
})
afterAll(async () => {
  await pool.end()
  await database.close()
})

/**
 * Sets two rows to each state, in the order of `states`, with the times and statuses of such rows; the chunk is open
 * and leased, the message is being sent.
 */
beforeEach(async () => {
  await db.exec(
    'reset_rows',
    `update message_log l
        set state = r.state, reason = null, closed_at = null,
            carrier_status = case when r.state = 'unknown' then 'no response' end,
            submitted_at = case when r.state in ('submitting', 'sent', 'unknown') then $4::timestamptz end, chunk_id = null, requeued_at = null, parts_delivered = 0
       from (select id, ($1::message_state[])[1 + (id - $2) % $3] as state from message_log) r
      where r.id = l.id`,
    [states, rows[0]?.id, states.length, new Date(now.getTime() - 60_000)],
  )
  await db.exec(
    'reset_counters',
    `update message_counters set audience = 0, ${states.map((state) => `${state} = 2 * (counter_row = 3)::int`).join(', ')}`,
  )
  await db.exec('reset_audience', 'update message_counters set audience = $1 where counter_row = 0', [recipients])
  await db.exec('reset_message', `update messages set status = 'sending', requeued_at = null, closed_at = null`)
  await db.exec('reset_subscribers', `update subscribers set state = 'subscribed'`)
  await db.exec('reset_chunk', `update send_chunks set epoch = $1, done_at = null, paused = false`, [chunk.epoch])
  await db.exec('reset_submits', 'delete from submits')
})

type Ids = number[]
const phonesOf = (ids: Ids) => rows.filter((row) => ids.includes(row.id)).map((row) => row.phone)
const setStatus = (status: string) => db.exec('set_status', 'update messages set status = $1', [status])

async function applyReceiptsTo(
  ids: Ids,
  status: { state: 'delivered' | 'bounced' | 'expired'; reason: 'hard' | null },
) {
  const submits = ids.map((id) => ({ id, smscId: `s${++smscIds}` }))
  await db.exec(
    'add_submits',
    `insert into submits (connection_id, smsc_id, log_id, phone, part, logged_on)
     select $1, s.smsc_id, s.log_id, null, 0, $4 from unnest($2::text[], $3::bigint[]) as s(smsc_id, log_id)`,
    [connectionId, submits.map(({ smscId }) => smscId), submits.map(({ id }) => id), message.loggedOn],
  )
  const receipts = submits.map(({ smscId }) => ({ ...status, smscId, carrierStatus: 'x', phone: null, shortCode: '1' }))
  await applyReceipts(db, message.loggedOn, connectionId, receipts, now)
}

/** A call that makes a transition, and the other transitions that the same call makes for rows in other states. */
type Exercise = { run: (ids: Ids) => Promise<unknown>; also?: TransitionName[] }

const mark = (ids: Ids) =>
  markSubmitting(
    db,
    chunk,
    rows.filter((row) => ids.includes(row.id)),
    now,
  )
const sent = (ids: Ids) =>
  markSent(
    db,
    message.loggedOn,
    connectionId,
    ids.map((logId) => ({ logId, phone: 0, part: 0, smscId: `s${++smscIds}`, complete: true })),
  )
const delivered = (ids: Ids) => applyReceiptsTo(ids, { state: 'delivered', reason: null })
const bounced = (ids: Ids) => applyReceiptsTo(ids, { state: 'bounced', reason: 'hard' })
const expired = (ids: Ids) => applyReceiptsTo(ids, { state: 'expired', reason: 'hard' })

const exercises: Record<Exclude<TransitionName, 'enqueue' | 'exclude'>, Exercise> = {
  submit: { run: mark },
  suppressAtMark: {
    async run(ids) {
      await db.exec('unsubscribe', `update subscribers set state = 'unsubscribed'`)
      await mark(ids)
    },
  },
  cancelAtMark: {
    async run(ids) {
      await setStatus('cancelled')
      await mark(ids)
    },
  },
  unmark: { run: (ids) => unmarkSubmitting(db, chunk, ids) },
  retryLater: { run: (ids) => queueForLater(db, chunk, ids, now) },
  accept: { run: sent, also: ['acceptLate'] },
  acceptLate: { run: sent, also: ['accept'] },
  reject: {
    run: (ids) =>
      markRejected(
        db,
        message.loggedOn,
        ids.map((logId) => ({ logId, reason: 'blocked', carrierStatus: 'ESME_RX_R_APPN' })),
        now,
      ),
  },
  loseResponse: { run: (ids) => markUnknown(db, message.loggedOn, ids) },
  abandon: { run: () => abandonSubmitting(db, chunk) },
  deliver: { run: delivered, also: ['deliverUnknown', 'deliverQueued'] },
  bounce: { run: bounced, also: ['bounceUnknown', 'bounceQueued'] },
  expire: { run: expired, also: ['expireUnknown', 'expireQueued'] },
  deliverUnknown: { run: delivered, also: ['deliver', 'deliverQueued'] },
  bounceUnknown: { run: bounced, also: ['bounce', 'bounceQueued'] },
  expireUnknown: { run: expired, also: ['expire', 'expireQueued'] },
  deliverQueued: { run: delivered, also: ['deliver', 'deliverUnknown'] },
  bounceQueued: { run: bounced, also: ['bounce', 'bounceUnknown'] },
  expireQueued: { run: expired, also: ['expire', 'expireUnknown'] },
  optOut: {
    run: (ids) => suppressQueued(db, phonesOf(ids), { listIds: [chunk.listId as number], shortCodeId: null }, now),
  },
  suppress: { run: () => suppressChunks(db, message, [chunk.id], 'too_late', now) },
  cancel: { run: () => cancelChunks(db, message, 0, now) },
  close: {
    async run() {
      await setStatus('sent')
      await expireChunks(db, message, 0, now)
    },
  },
  requeue: {
    async run(ids) {
      await setStatus('sent')
      await requeueUnknown(db, message, ids, now)
    },
  },
}

/** A log row's state, and the columns that change together with it. */
type LogRow = { id: number; state: State } & Record<LogColumn, unknown>

const columns: LogColumn[] = [
  'reason',
  'carrier_status',
  'submitted_at',
  'closed_at',
  'chunk_id',
  'requeued_at',
  'parts_delivered',
]

const readRows = () =>
  db.many<LogRow>('read_rows', `select id, state, ${columns.join(', ')} from message_log order by id`)

describe.each(Object.entries(exercises) as [TransitionName, Exercise][])('%s', (name, { run, also = [] }) => {
  test('moves exactly the rows in its old state, and their counters', async () => {
    const targets = new Map([name, ...also].map((each) => [transitions[each].from as State, transitions[each].to]))
    const before = await readRows()
    await run(rows.map(({ id }) => id))
    const after = await readRows()
    expect(after.map(({ state }) => state)).toEqual(before.map(({ state }) => targets.get(state) ?? state))
    await checkCounters(db, message.messageId)
  })

  test('changes exactly the columns in the table of transitions', async () => {
    const before = await readRows()
    await run(rows.map(({ id }) => id))
    const after = await readRows()
    const { from, sets } = transitions[name]
    const moved = before.flatMap((row, n) => (row.state === from ? [[row, after[n] as LogRow] as const] : []))
    expect(moved).toHaveLength(2)
    for (const [old, row] of moved) {
      const changed = columns.filter((column) => !isDeepStrictEqual(old[column], row[column]))
      expect(changed).toEqual(columns.filter((column) => (sets as readonly LogColumn[]).includes(column)))
    }
  })
})

test('new rows are queued or suppressed, and counted in the audience', async () => {
  const other = await freshDatabase()
  try {
    const list = await make.list(other.db)
    for (let n = 0; n < 3; n++) await make.subscriber(other.db, { listId: list.id })
    const rt = { ...makeRuntime({ db: other.db }), clock: { now: () => now } }
    const { id } = await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Soup on Friday' })
    await other.db.exec(
      'unsubscribe',
      `update subscribers set state = 'unsubscribed', opted_out_at = $1 where phone = (select min(phone) from subscribers)`,
      [new Date(now.getTime() + 1)],
    )
    while (await expandOnce(rt));
    expect(
      await other.db.many(
        'new_rows',
        'select state, reason is not null and closed_at is not null as ended from message_log order by phone',
      ),
    ).toEqual([
      { state: transitions.exclude.to, ended: true },
      { state: transitions.enqueue.to, ended: false },
      { state: transitions.enqueue.to, ended: false },
    ])
    await checkCounters(other.db, id)
  } finally {
    await other.close()
  }
})

describe('promise B1 as a property', () => {
  // after a cancel, or after all subscribers have left, no further transition could happen
  const names = (Object.keys(exercises) as (keyof typeof exercises)[]).filter(
    (name) => name !== 'suppressAtMark' && name !== 'cancelAtMark',
  )
  const step = fc.record({
    name: fc.constantFrom(...names),
    chosen: fc.array(fc.nat(recipients - 1), { minLength: 1, maxLength: 6 }),
  })
  const sequence = fc.array(step, { minLength: 1, maxLength: 8 })

  test('the counters match the log rows at every instant during concurrent transitions', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sequence, { minLength: 1, maxLength: 4 }), async (sequences) => {
        let running = true
        const checked = (async () => {
          while (running) await checkCounters(db, message.messageId)
        })()
        try {
          await Promise.all(
            sequences.map(async (steps) => {
              for (const { name, chosen } of steps) {
                const ids = [...new Set(chosen)].map((n) => rows[n]?.id as number).sort((a, b) => a - b)
                await retryLostRaces(() => exercises[name].run(ids))
              }
            }),
          )
        } finally {
          running = false
          await checked
        }
        await checkCounters(db, message.messageId)
      }),
      { numRuns: 25 },
    )
  })
})
