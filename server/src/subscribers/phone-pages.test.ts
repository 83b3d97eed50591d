import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { freshDatabase, useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listWrongCounts } from '../../test/number-ranges.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { csvUpload } from '../../test/uploads.ts'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { param, sql } from '../db/sql.ts'
import { applyNextSlice, receiveImport } from '../imports/imports.ts'
import { foldListDeltas } from '../lists/counts.queries.ts'
import { optOutOfLists } from '../opt-ins/opt-out.queries.ts'
import { insertSubscriber, moveSubscriber } from '../opt-ins/subscribe.queries.ts'
import { cleanDeadNumbers } from './clean.sql.ts'
import { listPhones, type PagedState } from './phone-pages.queries.ts'
import { getPhonesAfter } from './subscribers.ts'

const ctx = useDatabase()
const states = ['subscribed', 'unsubscribed', 'cleaned'] as const

/** Returns a page by a plain query over all numbers. */
async function plainPage(db: Db, listId: number, state: PagedState, offset: number, perPage: number) {
  const rows = await db.many<{ phone: number }>(
    'plain_page',
    'select phone from subscribers where list_id = $1 and state = $2 order by phone offset $3 limit $4',
    [listId, state, offset, perPage],
  )
  return rows.map(({ phone }) => String(phone))
}

// numbers at both ends of ranges and areas, and several in one range
const phones = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(20000, 20001, 20099, 20100, 55500, 99899, 99900, 99999),
      fc.constantFrom(0, 1, 50_000, 99_998, 99_999),
    )
    .map(([prefix, rest]) => prefix * 100_000 + rest),
  fc.integer({ min: 2_065_500_000, max: 2_065_500_009 }),
  fc.integer({ min: 2_000_000_000, max: 9_999_999_999 }),
)

type Step =
  | { do: 'join' | 'leave' | 'clean' | 'request'; phone: number }
  | { do: 'import'; phones: number[] }
  | { do: 'fold'; limit: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('join' as const, 'leave' as const), phone: phones }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('clean' as const, 'request' as const), phone: phones }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('import' as const),
        phones: fc.array(phones, { maxLength: 30, size: 'max' }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('fold' as const), limit: fc.constantFrom(1, 7, 1_000) }),
    },
  ),
  { maxLength: 60, size: 'max' },
)

type OwnList = Awaited<ReturnType<typeof make.list>> & { messageId: number }

async function newList(db: Db): Promise<OwnList> {
  const list = await make.list(db)
  const { id: messageId } = await db.one<{ id: number }>(
    'make_message',
    `insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                           accepted_at, created_at)
     values ($1, $2, $3, 'broadcast', 'x', 'subscribed', 1, 'sent', '2026-03-02', now(), now()) returning id`,
    [list.accountId, list.id, list.shortCodeId],
  )
  return { ...list, messageId }
}

/** Runs the step with the product's own statements. */
async function run(db: Db, list: OwnList, step: Step) {
  const now = new Date()
  if (step.do === 'fold') await foldListDeltas(db, step.limit)
  else if (step.do === 'import') await importPhones(db, list, step.phones)
  else if (step.do === 'join' || step.do === 'request') {
    const state = step.do === 'join' ? ('subscribed' as const) : ('pending' as const)
    const joining = {
      accountId: list.accountId,
      listId: list.id,
      phone: step.phone,
      state,
      method: 'api' as const,
      wording: null,
      actor: 'key:1',
      now,
    }
    const known = await db.maybeOne<{ state: string }>(
      'state_of',
      'select state from subscribers where list_id = $1 and phone = $2 for no key update',
      [list.id, step.phone],
    )
    if (known === undefined) await insertSubscriber(db, joining)
    else if (known.state !== 'subscribed') await moveSubscriber(db, joining)
  } else if (step.do === 'leave') {
    await optOutOfLists(db, {
      shortCodeId: null,
      accountId: list.accountId,
      listIds: [list.id],
      senders: [{ phone: step.phone, wording: null, actor: 'key:1' }],
      method: 'api',
      source: null,
      at: now,
    })
  } else {
    await db.exec(
      'clean',
      sql`with moved as (select 1::bigint as id, ${list.messageId}::bigint as message_id, ${step.phone}::bigint as phone, 'bounced' as state,
                             'hard' as reason), ${cleanDeadNumbers(param(new Date()))} select from cleaned`,
    )
  }
}

async function importPhones(db: Db, list: OwnList, given: number[]) {
  const rt = makeRuntime({ db })
  const { id } = await receiveImport(rt, csvUpload(list, ['phone', ...given].join('\n')))
  while (await applyNextSlice(rt, id, 4));
}

describe('a page', () => {
  test('equals a page of a plain query over all numbers, after any sequence of steps', async () => {
    const sizes = fc.constantFrom(1, 2, 3, 10, 1_000)
    await fc.assert(
      fc.asyncProperty(steps, sizes, async (taken, perPage) => {
        const list = await newList(ctx.db)
        for (const step of taken) await run(ctx.db, list, step)
        for (const state of states) {
          const all = await plainPage(ctx.db, list.id, state, 0, 100_000)
          const pages = Math.ceil(all.length / perPage) + 1
          for (let page = 0; page < pages; page++) {
            const offset = page * perPage
            const found = await listPhones(ctx.db, list.accountId, list.id, state, { offset, perPage })
            expect(found).toEqual({ count: all.length, phones: all.slice(offset, offset + perPage) })
          }
        }
        expect(await listWrongCounts(ctx.db)).toEqual([])
      }),
      { numRuns: 40 },
    )
  }, 120_000)

  test('far past the end is empty', async () => {
    const list = await newList(ctx.db)
    await run(ctx.db, list, { do: 'join', phone: 2_065_550_143 })
    const page = { offset: 999_999_999 * 1_000, perPage: 1_000 }
    expect(await listPhones(ctx.db, list.accountId, list.id, 'subscribed', page)).toEqual({ count: 1, phones: [] })
  })

  test('equals a page of a plain query in a list of 200,000, with and without statistics', async () => {
    const list = await newList(ctx.db)
    // one range is full, the others have one number each
    await ctx.db.exec(
      'fill',
      `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
       select $1, phone, now(), case when phone % 1000 = 0 then 'unsubscribed' else 'subscribed' end, now(), now()
         from (select 2065500000 + n as phone from generate_series(0, 99999) n
               union all select 2100000000 + n::bigint * 78901 from generate_series(0, 99999) n) p`,
      [list.id],
    )
    await ctx.db.exec(
      'count_ranges',
      `insert into number_ranges (list_id, prefix, subscribed, unsubscribed)
       select list_id, prefix, count(*) filter (where state = 'subscribed'), count(*) filter (where state = 'unsubscribed')
         from subscribers cross join lateral (values (phone / 100000), (phone / 10000000)) as digits (prefix)
        where list_id = $1 group by list_id, prefix`,
      [list.id],
    )
    for (const analyzed of [false, true]) {
      if (analyzed) await ctx.db.exec('analyze', 'analyze subscribers, number_ranges')
      for (const [state, offset] of [
        ['subscribed', 50_000],
        ['subscribed', 190_000],
        ['unsubscribed', 150],
      ] as const) {
        const found = await listPhones(ctx.db, list.accountId, list.id, state, { offset, perPage: 10 })
        expect(found?.phones).toEqual(await plainPage(ctx.db, list.id, state, offset, 10))
      }
    }
  })
})

test('a page is correct at every instant while numbers are added and removed and deltas are folded', async () => {
  const database = await freshDatabase()
  try {
    const list = await newList(database.db)
    const phoneOf = (n: number) => 2_060_000_000 + ((n * 7_919) % 400) * 12_345
    let busy = 3
    const work = async (first: number) => {
      for (let n = first; n < first + 150; n++) {
        const phone = phoneOf(n)
        await database.db.tx((tx) => run(tx, list, { do: n % 3 === 0 ? 'leave' : 'join', phone }))
      }
      busy--
    }
    const imports = async () => {
      for (let n = 0; n < 4; n++) {
        const some = Array.from({ length: 60 }, (_, i) => phoneOf(n * 60 + i))
        await importPhones(database.db, list, some)
      }
      busy--
    }
    const fold = async () => {
      while (busy > 0) await retryLostRaces(() => foldListDeltas(database.db, 10))
    }
    let checks = 0
    const check = async () => {
      for (; busy > 0; checks++) {
        await database.db.tx(async (tx) => {
          await tx.exec('one_snapshot', 'set transaction isolation level repeatable read')
          for (const state of ['subscribed', 'unsubscribed'] as const) {
            const all = await plainPage(tx, list.id, state, 0, 1_000)
            const offset = Math.floor(all.length / 2)
            const found = await listPhones(tx, list.accountId, list.id, state, { offset, perPage: 20 })
            expect(found).toEqual({ count: all.length, phones: all.slice(offset, offset + 20) })
          }
        })
      }
    }
    await Promise.all([work(0), work(100), imports(), fold(), fold(), check()])
    expect(checks).toBeGreaterThan(3)
    expect(await listWrongCounts(database.db)).toEqual([])
  } finally {
    await database.close()
  }
}, 60_000)

describe('the numbers after a cursor', () => {
  const readAll = async (listId: number, state: PagedState, between: (page: number) => Promise<unknown>) => {
    const found: string[] = []
    let cursor: string | null = '0'
    for (let page = 1; cursor !== null; page++) {
      const read: Awaited<ReturnType<typeof getPhonesAfter>> = await getPhonesAfter(ctx.db, accountId, listId, state, {
        after: Number(cursor),
        perPage: 3,
      })
      found.push(...read.records)
      cursor = read.next
      await between(page)
    }
    return found
  }
  let accountId: number
  const makeList = async (count: number) => {
    const list = await make.list(ctx.db)
    accountId = list.accountId
    for (let n = 0; n < count; n++) await make.subscriber(ctx.db, { listId: list.id, phone: 2_065_560_000 + n })
    return list.id
  }

  test.each([0, 1, 3, 7])('are complete for %d numbers', async (count) => {
    const listId = await makeList(count)
    const expected = Array.from({ length: count }, (_, n) => String(2_065_560_000 + n))
    expect(await readAll(listId, 'subscribed', async () => {})).toEqual(expected)
    expect(await readAll(listId, 'cleaned', async () => {})).toEqual([])
  })

  test('include every number that stays while others leave', async () => {
    const listId = await makeList(10)
    const found = await readAll(listId, 'subscribed', (page) =>
      ctx.db.exec('leave', `update subscribers set state = 'unsubscribed' where list_id = $1 and phone = $2`, [
        listId,
        2_065_560_000 + page - 1,
      ]),
    )
    expect(found).toEqual(Array.from({ length: 10 }, (_, n) => String(2_065_560_000 + n)))
  })
})
