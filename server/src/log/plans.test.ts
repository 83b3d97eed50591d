import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { sliceAudience } from '../broadcasts/audience.sql.ts'
import { listRanges, tally } from '../broadcasts/bill.queries.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { readAudienceSlice } from '../broadcasts/personal-slice.queries.ts'
import type { Db } from '../db/db.ts'
import { type Statement, textOf } from '../db/sql.ts'
import { planSettings } from '../gateway/gateway.ts'
import { listOptedOut } from '../messages/audience/recipients.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { cancelChunks } from './cancel.queries.ts'
import type { Chunk } from './chunk.ts'
import { abandonSubmitting, finishChunk } from './leases.queries.ts'
import {
  correctPartCounts,
  listQueuedByChunk,
  listQueuedWithCarriers,
  markRejected,
  markSent,
  markSubmitting,
  markUnknown,
  unmarkSubmitting,
} from './marks.queries.ts'
import { suppressQueuedOfDay } from './opt-out.queries.ts'
import { listStillAllowed } from './partial-sends.queries.ts'
import { writePersonalSlice } from './personal-slice.queries.ts'
import { applyReceipts } from './receipts.queries.ts'
import { suppressChunks } from './reopen.queries.ts'
import { queueForLater } from './retry.queries.ts'
import { type RecipientSlice, writeSlice } from './slices.queries.ts'

// The gateway's sessions cache the plans of the hot statements, possibly on a day that is still empty. Each plan must
// find its rows by key, regardless of the sizes of the tables: a plan that scans a day's log or submits stops a fast
// send.

let database: TestDatabase
beforeEach(async () => {
  database = await freshDatabase()
})
afterEach(() => database.close())

const day = '2031-05-06'
const chunk = { id: 1, epoch: 1, messageId: 1, loggedOn: day, firstLogId: 1, lastLogId: 9, listId: 1 } as Chunk
const slice = { messageId: 1, loggedOn: day, rows: 10 } as RecipientSlice

const audience = { listId: 1, audience: null, cursorPhone: 0, audienceAt: new Date(), rows: 10, fieldKeys: ['team'] }
const personal = { messageId: 1, loggedOn: day, lane: 2, at: new Date(), lastPhone: 1 }

const hot: Record<string, (db: Db) => Promise<unknown>> = {
  'list queued': (db) => listQueuedByChunk(db, day, [chunk]),
  'list queued with carriers': (db) => listQueuedWithCarriers(db, day, [chunk]),
  'mark submitting, subscribers': (db) => markSubmitting(db, { ...chunk, consent: 'subscribed' }, [], new Date()),
  'mark submitting, not opted out': (db) => markSubmitting(db, { ...chunk, consent: 'not_opted_out' }, [], new Date()),
  'list still allowed': (db) => listStillAllowed(db, { ...chunk, consent: 'subscribed' }, [], new Date()),
  'unmark submitting': (db) => unmarkSubmitting(db, chunk, []),
  'correct part counts': (db) => correctPartCounts(db, day, []),
  'mark sent': (db) => markSent(db, day, 1, []),
  'mark rejected': (db) => markRejected(db, day, [], new Date()),
  'mark unknown': (db) => markUnknown(db, day, []),
  'apply receipts': (db) => applyReceipts(db, day, 1, [], new Date()),
  'abandon submitting': (db) => abandonSubmitting(db, chunk),
  'write a slice of the list': (db) => writeSlice(db, slice, sliceAudience(audience, 1, false)),
  'write a slice of an audience': (db) => writeSlice(db, slice, sliceAudience(audience, 1, true)),
  'read an audience': (db) => readAudienceSlice(db, { ...audience, withForecast: true }),
  'read a tested audience': (db) => readAudienceSlice(db, { ...audience, audience: { tags_any: ['a'] } }),
  'write a personal slice': (db) => writePersonalSlice(db, { ...personal, rows: [], chunks: [] }),
  'list ranges of ids': (db) => listRanges(db, [1]),
  'tally submitted parts': (db) => tally(db, day, []),
  'cancel chunks': (db) => cancelChunks(db, { messageId: 1, loggedOn: day }, 0, new Date()),
  'suppress chunks': (db) => suppressChunks(db, { messageId: 1, loggedOn: day }, [1], 'too_late', new Date()),
  'suppress queued': (db) => suppressQueuedOfDay(db, day, [1], { listIds: [1], shortCodeId: null }, new Date()),
  'list opted out': (db) => listOptedOut(db, 1, 1, []),
  'queue for later': (db) => queueForLater(db, chunk, [], new Date()),
  'finish chunk': (db) => finishChunk(db, chunk),
}

/** Returns the plans of all statements that `work` runs, as the gateway's sessions plan them. */
async function plansOf(work: (db: Db) => Promise<unknown>): Promise<string> {
  const statements: string[] = []
  const record = async (_: string, statement: Statement) => {
    statements.push(textOf(statement))
    return { known: [], ids: [], early: [], states: ['queued'], optOuts: [], rows: 1, moved: 0 } as never
  }
  await work({ ...database.db, one: record, many: async (_, sql) => [await record(_, sql)], exec: record })
  const plans: string[] = []
  await database.db.withClient(async (client) => {
    for (const [name, value] of Object.entries(planSettings)) await client.query(`set ${name} = ${value}`)
    for (const sql of statements) {
      const { rows } = await client.query(`explain (generic_plan, costs off) ${sql}`)
      plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'))
    }
    await client.query('discard all')
  })
  return plans.join('\n\n')
}

/** Returns the lines of a plan that scan a big table without a condition on a key. */
function scansWithoutKey(plan: string): string[] {
  const lines = plan.split('\n')
  return lines.filter((line, n) => {
    const scan =
      /(Seq Scan on|Index (?:Only )?Scan using \S+ on|Bitmap Heap Scan on) (message_log|submits|subscribers|send_chunks|blocks|number_look_ups)/
    if (!scan.test(line)) return false
    return !/Index Cond: .*\b(id|smsc_id|phone|first_log_id)\b/.test(lines[n + 1] ?? '')
  })
}

describe('on an empty day', () => {
  beforeEach(() => database.db.exec('ensure_a_day', `select ensure_log_day($1)`, [day]))

  test.each(Object.keys(hot))('%s finds its rows by key', async (name) => {
    const plan = await plansOf(hot[name] as (typeof hot)[string])
    expect(scansWithoutKey(plan), plan).toEqual([])
  })
})

/** Fills the day with the log rows and submits of this number of recipients. */
async function fillDay(rows: number): Promise<void> {
  const list = await make.list(database.db)
  await database.db.exec(
    'fill_list',
    `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
     select $1, 2065560000 + n, now(), 'subscribed', '2030-01-01', '2030-01-01' from generate_series(1, $2) n`,
    [list.id, rows],
  )
  const rt = { ...makeRuntime({ db: database.db }), clock: { now: () => new Date(`${day}T12:00:00Z`) } }
  await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Hello' })
  while (await expandOnce(rt));
  await database.db.exec(
    'fill_submits',
    `insert into submits (connection_id, smsc_id, log_id, part, logged_on)
     select 1, to_hex(id), id, 0, logged_on from message_log`,
  )
}

// a plan is cached until the table is analyzed again, so a plan for a small day must also suit a big one
test.each([
  { rows: 1, analyzed: true },
  { rows: 60, analyzed: false },
  { rows: 60, analyzed: true },
  { rows: 1_000, analyzed: false },
  { rows: 1_000, analyzed: true },
  { rows: 20_000, analyzed: true },
])(
  'all statements find their rows by key on a day with $rows rows (analyzed: $analyzed)',
  async ({ rows, analyzed }) => {
    await fillDay(rows)
    if (analyzed) await database.db.exec('analyze_all', 'analyze')
    for (const [name, work] of Object.entries(hot)) {
      const plan = await plansOf(work)
      expect(scansWithoutKey(plan), `${name}\n${plan}`).toEqual([])
    }
  },
)
