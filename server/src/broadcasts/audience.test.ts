import { beforeEach, describe, expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { storeClicks } from '../links/clicks.ts'
import { listLinkIds } from '../links/links.queries.ts'
import { type Audience, type ClickTest, readAudience } from '../messages/audience/audience.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { expandOnce, expandSlice } from './expand.ts'

const ctx = useDatabase()
let list: Awaited<ReturnType<typeof make.list>>
const rt = () => makeRuntime({ db: ctx.db })

beforeEach(async () => {
  list = await make.list(ctx.db)
  await ctx.db.exec(
    'make_fields',
    `insert into custom_fields (list_id, key, label, content_type, max_length, default_value, created_at, updated_at)
     select $1, key, key, type, 20, default_value, now(), now()
       from (values ('team', 'text', 'none'), ('gifts', 'number', null), ('joined', 'datetime', null))
              as f(key, type, default_value)`,
    [list.id],
  )
})

const people: [name: string, tags: string[], fields: object][] = [
  ['ana', ['soup', 'bread'], { team: 'Reds', gifts: 5, joined: '2026-01-01T00:00:00.000Z' }],
  ['ben', ['soup'], { team: 'Blue_Jays', gifts: 10.5, joined: '2026-03-01T08:00:00.000Z' }],
  ['cem', ['bread', 'Soup'], { team: 'reds', gifts: 0 }],
  ['dee', [], {}],
  // the value of a deleted field with the same key
  ['eli', ['tea'], { team: null, gifts: '7' }],
]
const phoneOf = (index: number) => 2_065_560_001 + index

async function addPeople() {
  for (const [index, [name, tags, fields]] of people.entries()) {
    await make.subscriber(ctx.db, { listId: list.id, phone: phoneOf(index), firstName: name })
    const sql = 'update subscribers set tags = $3, custom_fields = $4 where list_id = $1 and phone = $2'
    await ctx.db.exec('set_tags_and_fields', sql, [list.id, phoneOf(index), tags, JSON.stringify(fields)])
  }
}

async function namesOf(given: Audience): Promise<string> {
  const audience = await readAudience(ctx.db, list.id, given)
  const { id } = await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Hello', audience })
  while (await expandOnce(rt()));
  await checkCounters(ctx.db, id)
  const rows = await ctx.db.many<{ name: string }>(
    'names_of',
    `select s.first_name as name from message_log l join subscribers s on s.phone = l.phone and s.list_id = $2
      where l.message_id = $1 order by l.phone`,
    [id, list.id],
  )
  return rows.map(({ name }) => name).join(' ')
}

type Op = NonNullable<Audience['custom_fields']>[number]['op']
const field = (key: string, op: Op, value?: string | number | boolean): Audience => ({
  custom_fields: [{ key, op, ...(value === undefined ? {} : { value }) }],
})

test.each<[string, Audience, string]>([
  ['any of the tags', { tags_any: ['soup', 'tea'] }, 'ana ben eli'],
  ['all of the tags', { tags_all: ['bread', 'soup'] }, 'ana'],
  ['none of the tags', { tags_none: ['soup', 'tea'] }, 'cem dee'],
  ['tags_any and tags_none', { tags_any: ['soup', 'bread'], tags_none: ['Soup'] }, 'ana ben'],
  ['an equal string', field('team', 'eq', 'Reds'), 'ana'],
  ['a different string or no value', field('team', 'ne', 'Reds'), 'ben cem dee eli'],
  ['a substring in any case', field('team', 'contains', 'RED'), 'ana cem'],
  ['a substring with a wildcard of LIKE', field('team', 'contains', '_'), 'ben'],
  ['a value', field('team', 'exists'), 'ana ben cem'],
  ['no value', field('team', 'exists', false), 'dee eli'],
  ['an equal number in another notation', field('gifts', 'eq', '5.0'), 'ana'],
  ['a greater number, not a string', field('gifts', 'gt', 4), 'ana ben'],
  ['a smaller number', field('gifts', 'lt', '5'), 'cem'],
  ['a later time', field('joined', 'gt', '2026-02-28'), 'ben'],
  ['an earlier time, given with a UTC offset', field('joined', 'lt', '2026-03-01T00:00:01-08:00'), 'ana ben'],
  [
    'tags and several custom fields',
    {
      tags_any: ['soup'],
      custom_fields: [
        { key: 'gifts', op: 'gt', value: 1 },
        { key: 'team', op: 'ne', value: 'Reds' },
      ],
    },
    'ben',
  ],
  ['no subscriber', { tags_any: ['caviar'] }, ''],
])('selects the subscribers with %s', async (_case, audience, expected) => {
  await addPeople()
  expect(await namesOf(audience)).toBe(expected)
})

test.each<[string, Audience, string]>([
  ['a string as the value of a number field', field('gifts', 'eq', 'five'), 'need a number for gifts'],
  ['a comparison without a value', field('gifts', 'gt'), 'need a value for gifts'],
  ['an order comparison of strings', field('team', 'lt', 'a'), 'cannot use lt with team, a text'],
  ['a substring of a number', field('gifts', 'contains', '5'), 'cannot use contains with gifts, a number'],
])('rejects %s', async (_case, audience, fault) => {
  await expect(readAudience(ctx.db, list.id, audience)).rejects.toThrow(`Validation failed: Custom fields ${fault}`)
})

describe('clicks', () => {
  const content = 'https://a.example https://b.example'
  const before = new Date(Date.now() - 60_000)
  let message = 0

  /** Accepts a message with tracked links, and returns its id. */
  async function track(of = list): Promise<number> {
    const input = { accountId: of.accountId, list: of, content, linkBase: 'https://l.example' }
    return (await acceptBroadcast(rt(), input)).id
  }

  /** Stores clicks of people, by their index and the position of the link. */
  async function click(messageId: number, clicks: [index: number, position: number, rule?: 'scanner'][], at = before) {
    const links = await listLinkIds(ctx.db, messageId)
    const set = 'update message_log set submitted_at = $2 where message_id = $1'
    await ctx.db.exec('hand_over', set, [messageId, new Date(at.getTime() - 60_000)])
    for (const [index, position, rule = null] of clicks) {
      await storeClicks(ctx.db, [{ linkId: links[position]?.id ?? 0, phone: phoneOf(index), clickedAt: at, rule }])
    }
  }

  beforeEach(async () => {
    await addPeople()
    message = await track()
    while (await expandOnce(rt()));
    await click(message, [
      [0, 0],
      [1, 1, 'scanner'],
      [2, 1],
    ])
  })

  test.each<[Partial<ClickTest>, string]>([
    [{ clicked: 'human' }, 'ana cem'],
    [{ clicked: 'any' }, 'ana ben cem'],
    [{ clicked: 'not_human' }, 'ben dee eli'],
    [{ clicked: 'none' }, 'dee eli'],
    [{ clicked: 'human', link: 'https://a.example' }, 'ana'],
    [{ clicked: 'any', link: 'https://b.example' }, 'ben cem'],
    [{ clicked: 'not_human', link: 'https://b.example' }, 'ana ben dee eli'],
    [{ clicked: 'none', link: 'https://b.example' }, 'ana dee eli'],
  ])('with %j select %s', async (given, expected) => {
    const test = { message_id: message, clicked: 'any', ...given } as const
    expect(await namesOf({ clicks: [test] })).toBe(expected)
    expect(await namesOf({ clicks: [test], tags_any: ['soup'] })).toBe(
      expected
        .split(' ')
        .filter((name) => ['ana', 'ben'].includes(name))
        .join(' '),
    )
  })

  test('are counted until the audience is taken, and several tests must all match', async () => {
    const other = await track()
    while (await expandOnce(rt()));
    await click(other, [[0, 0]])
    const [any, none] = ['any', 'none'] as const
    expect(
      await namesOf({
        clicks: [
          { message_id: message, clicked: any },
          { message_id: other, clicked: none },
        ],
      }),
    ).toBe('ben cem')
    expect(
      await namesOf({
        clicks: [
          { message_id: message, clicked: any },
          { message_id: other, clicked: any },
        ],
      }),
    ).toBe('ana')
    await click(other, [[1, 0]], new Date(Date.now() + 60_000))
    expect(await namesOf({ clicks: [{ message_id: other, clicked: any }] })).toBe('ana')
    // the same link in a message that was not opened
    expect(await namesOf({ clicks: [{ message_id: await track(), clicked: any, link: 'https://a.example' }] })).toBe('')
  })

  test('are those on a message of the account that tracks its links', async () => {
    const theirs = await track(await make.list(ctx.db))
    const untracked = await acceptBroadcast(rt(), { accountId: list.accountId, list, content })
    const faults: [ClickTest[], string][] = [
      [[], "can't be blank"],
      [
        [{ message_id: theirs, clicked: 'any' }],
        `name a message that the account has not sent with tracked links: ${theirs}`,
      ],
      [
        [{ message_id: untracked.id, clicked: 'any' }],
        'name a message that the account has not sent with tracked links',
      ],
      [
        [
          { message_id: message, clicked: 'any' },
          { message_id: message + 1_000, clicked: 'any' },
        ],
        'name a message that',
      ],
      [
        [{ message_id: message, clicked: 'any', link: 'https://a.example/' }],
        `name a link that message ${message} does not have`,
      ],
    ]
    for (const [clicks, fault] of faults) {
      await expect(readAudience(ctx.db, list.id, { clicks })).rejects.toThrow(fault)
    }
    const other = await make.list(ctx.db, { accountId: list.accountId })
    const test: ClickTest = { message_id: message, clicked: 'human', link: 'https://a.example' }
    expect(await readAudience(ctx.db, other.id, { clicks: [test] })).toEqual({ clicks: [test] })
  })
})

describe('a list with few matching subscribers', () => {
  const last = 2_065_560_000 + 35_000

  beforeEach(() =>
    ctx.db.exec(
      'fill',
      `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at, tags)
       select $1, 2065560000 + n, now(), 'subscribed', now() - interval '1 day', now() - interval '1 day',
              case when n in (1, 20000, 35000) then '{rare}'::text[] else '{}' end
         from generate_series(1, 35000) n`,
      [list.id],
    ),
  )

  test('is expanded in slices of a limited number of subscribers', async () => {
    const { id } = await acceptBroadcast(rt(), {
      accountId: list.accountId,
      list,
      content: 'Hello',
      audience: { tags_all: ['rare'] },
    })
    const cursors: number[] = []
    while (await expandSlice(rt(), id, () => 0)) {
      const row = await ctx.db.maybeOne<{ at: number }>('cursor_of', 'select cursor_phone as at from expansions')
      cursors.push(row ? row.at - 2_065_560_000 : Number.NaN)
    }
    expect(cursors).toEqual([20, 120, 620, 3_120, 13_120, 23_120, 33_120, Number.NaN])
    const phones = await ctx.db.many('phones', 'select phone from message_log where message_id = $1 order by phone', [
      id,
    ])
    expect(phones).toEqual([{ phone: 2_065_560_001 }, { phone: 2_065_580_000 }, { phone: last }])
    expect(await readCounters(ctx.db, id)).toMatchObject({ audience: 3, queued: 3 })
    await checkCounters(ctx.db, id)
  })
})

test('writes matching subscribers who opted out after it was accepted as suppressed', async () => {
  await addPeople()
  const input = { accountId: list.accountId, list, content: 'Hello', audience: { tags_any: ['soup'] } }
  const { id } = await acceptBroadcast(rt(), input)
  const later = new Date(Date.now() + 1_000)
  const sql = `update subscribers set state = 'unsubscribed', opted_out_at = $2 where phone = any($1::bigint[])`
  await ctx.db.exec('unsubscribe', sql, [[phoneOf(1), phoneOf(4)], later])
  while (await expandOnce(rt()));
  const rows = await ctx.db.many('log', 'select phone, state from message_log where message_id = $1 order by phone', [
    id,
  ])
  expect(rows).toEqual([
    { phone: phoneOf(0), state: 'queued' },
    { phone: phoneOf(1), state: 'suppressed' },
  ])
})
