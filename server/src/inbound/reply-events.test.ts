import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { numberEvents } from '../events/sequence.ts'
import { attachKeywords } from '../keywords/keywords.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { ensureLogDay } from '../log/log-days.queries.ts'
import { markSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast, sendSystemText, sendToNumbers } from '../messages/messages.ts'
import { interpretInbound, storeInbound } from './inbound.ts'
import { reportIncomplete } from './reply-events.ts'

const phone = 2_065_560_001
const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }

let database: TestDatabase
let connectionId: number
let list: Awaited<ReturnType<typeof newList>>
const rt = () => makeRuntime({ db: database.db, clock })
const wait = (ms: number) => {
  clock.time = new Date(clock.time.getTime() + ms)
}

beforeAll(async () => {
  database = await freshDatabase()
  connectionId = (await make.connection(database.db, { name: 'default' })).id
})
afterAll(() => database.close())

beforeEach(async () => {
  clock.time = start
  list = await newList()
})
afterEach(() => database.db.exec('forget', 'delete from event_outbox'))

/** Creates a list on a short code of its own, or on that of another list, with a subscriber; it reports the types of these bits. */
async function newList({
  listeners = 16,
  on,
}: {
  listeners?: number
  on?: { accountId: number; shortCodeId: number }
} = {}) {
  const { db } = database
  const accountId = on?.accountId ?? (await make.account(db)).id
  const shortCodeId = on?.shortCodeId ?? (await make.shortCode(db, { accountId })).id
  const made = await make.list(db, { accountId, shortCodeId })
  await make.subscriber(db, { listId: made.id, phone, firstName: 'Marisol', at: new Date('2026-01-05T18:00:00Z') })
  await db.exec('listen', 'update lists set listeners = $2 where id = $1', [made.id, listeners])
  const code = await db.one<{ code: string }>('code', 'select code from short_codes where id = $1', [shortCodeId])
  return { ...made, ...code }
}

type Given = { to?: string; dataCoding?: number; part?: { reference: number; total: number; number: number } }
const receive = async (content: string, { to = list.code, dataCoding = 0, part }: Given = {}) => {
  await storeInbound(database.db, {
    connectionId,
    shortCode: to,
    phone,
    content,
    raw: Buffer.from(content),
    dataCoding,
    receivedAt: clock.time,
    part,
  })
}
const interpret = async () => {
  while (await interpretInbound(rt()));
}
const reply = async (...args: Parameters<typeof receive>) => {
  wait(60_000)
  await receive(...args)
  await interpret()
}

/** Marks all queued texts as submitting, as a gateway does. */
async function submit() {
  wait(1_000)
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: clock.time, fromLane: 0, toLane: 9, limit: 99 }
  for (const chunk of await claimChunks(database.db, claim))
    await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), clock.time)
}
async function broadcast(to = list, content = 'Soup on Friday') {
  const { id } = await acceptBroadcast(rt(), { accountId: to.accountId, list: to, content })
  while (await expandOnce(rt()));
  await submit()
  return id
}

/** Numbers all events and returns the payloads. */
async function payloads() {
  const texts: string[] = []
  const add = async (_tx: unknown, events: { payload: string }[]) => void texts.push(...events.map((e) => e.payload))
  while ((await numberEvents(database.db, add)).isFull);
  const all = texts.map((text) => JSON.parse(text) as Record<string, unknown>)
  return all.filter(({ type }) => type === 'campaign_response' || type === 'transactional_message_reply')
}
const replies = async () =>
  (await payloads()).map((p) =>
    p.reply_content === undefined
      ? [p.transactional_message_id, p.content, 'callback']
      : [p.message_id, p.reply_content],
  )

test('a reply reports the message and the profile, in the order of the contract', async () => {
  await database.db.exec(
    'field',
    `insert into custom_fields (list_id, key, label, content_type, max_length, created_at, updated_at)
     select $1, key, key, 'text', 20, now(), now() from unnest('{2026,reply_content}'::text[]) key`,
    [list.id],
  )
  await database.db.exec(
    'profile',
    `update subscribers set custom_fields = '{"2026": "yes", "reply_content": "mine"}', tags = '{a}', birthdate = '19900409'
      where list_id = $1`,
    [list.id],
  )
  const { id: optId } = await database.db.one<{ id: number }>(
    'opt',
    `insert into opts (account_id, list_id, phone, kind, method, keyword_name, actor, created_at)
     values ($1, $2, $3, 'opt_in', 'keyword', 'SOUP', 'mo:1', now()) returning id`,
    [list.accountId, list.id, phone],
  )
  const messageId = await broadcast()
  await reply('I will bring 🥖')
  const [payload, ...others] = await payloads()
  expect(others).toEqual([])
  expect(Object.entries(payload ?? {})).toEqual(
    Object.entries({
      2026: 'yes',
      type: 'campaign_response',
      timestamp: '2026-03-02T02:01:01-08:00',
      account_id: list.accountId,
      campaign_id: list.id,
      message_id: messageId,
      sent_timestamp: '2026-03-02T02:00:01-08:00',
      content: 'Soup on Friday',
      response_timestamp: '2026-03-02T02:01:01-08:00',
      reply_content: 'I will bring 🥖',
      opt_id: optId,
      phone_number: String(phone),
      carrier_id: 0,
      carrier_name: null,
      first_name: 'Marisol',
      last_name: null,
      email_address: null,
      gender: null,
      zip_code: null,
      birthdate: '04/09/1990',
      birthday: '04/09',
      tag_list: ['a'],
      first_opt_in_timestamp: '2026-01-05T10:00:00-08:00',
      last_opt_in_method: 'keyword',
      last_opt_in_keyword: 'SOUP',
      is_mms: false,
      attachment_urls: [],
    }),
  )
})

describe('is no reply', () => {
  test.each(['STOP', 'Help!', 'START', 'unstop', 'soup-now', ' Soup Now. '])('%j', async (content) => {
    const names = ['SOUP-NOW']
    await database.db.tx((tx) => attachKeywords(tx, list, names, clock.time))
    await broadcast()
    await reply(content)
    expect(await replies()).toEqual([])
  })

  test('a word that lifted a block', async () => {
    await broadcast()
    for (const content of ['STOP', 'YES']) await reply(content)
    expect(await replies()).toEqual([])
  })

  test.each([
    ['any text, if the question is newer than the message', 'maybe', 30_000, 0],
    ['YES, if the question is older', 'yes', -3_600_000, 0],
    ['but another text is, if the question is older', 'maybe', -3_600_000, 1],
  ])('the answer to an opt-in question: %s', async (_name, content, afterMs, count) => {
    const messageId = await broadcast()
    const other = await newList({ on: list, listeners: 0 })
    await database.db.exec(
      'pending',
      `update subscribers set state = 'pending', opt_in_requested_at = $2 where list_id = $1`,
      [other.id, new Date(clock.time.getTime() + afterMs)],
    )
    await reply(content)
    expect(await replies()).toEqual(count === 0 ? [] : [[messageId, content]])
  })

  test('a text to a short code that sent no message before it', async () => {
    await reply('Hello')
    await broadcast(await newList())
    await reply('Hello')
    await receive('Hello')
    await broadcast()
    await interpret()
    expect(await replies()).toEqual([])
  })

  test('a text after a message of a deleted list', async () => {
    await broadcast()
    await newList({ on: list })
    await database.db.exec('delete', 'update lists set deleted_at = $2 where id = $1', [list.id, clock.time])
    await reply('Hello')
    expect(await replies()).toEqual([])
  })

  test('a text for a program of the phone; but a text that is only declared as data is one', async () => {
    const id = await broadcast()
    await reply('\u0001\u0006\u0003¾', { dataCoding: 4 })
    await reply('Hello', { dataCoding: 4 })
    await reply('Tab\tand\nline', { dataCoding: 0xf5 })
    await reply('Bell\u0007', { dataCoding: 8 })
    expect(await replies()).toEqual([
      [id, 'Hello'],
      [id, 'Tab\tand\nline'],
      [id, 'Bell\u0007'],
    ])
  })
})

test('YES without an open question, words among others, texts after a STOP and empty texts are replies', async () => {
  const id = await broadcast()
  const contents = ['YES', 'stop this bill', '']
  for (const content of contents) await reply(content)
  await reply('STOP')
  await reply('Why?')
  expect(await replies()).toEqual([...contents, 'Why?'].map((content) => [id, content]))
})

describe('the message', () => {
  test('is the last one of any list of the short code, and no system text', async () => {
    const first = await broadcast()
    const other = await newList({ on: list })
    const second = await broadcast(other)
    const unheard = await newList({ on: list, listeners: 15 })
    await reply('to the second')
    const third = await broadcast(list)
    const { accountId, id: listId, shortCodeId } = list
    const text = { accountId, listId, shortCodeId, phone, content: 'Welcome' }
    await database.db.tx((tx) => sendSystemText(tx, rt(), { ...text, consent: 'not_opted_out' }))
    await submit()
    await reply('to the third')
    await broadcast(unheard)
    await reply('to nobody')
    const numbers = { accountId, listId, shortCodeId, phones: [phone], content: 'To you', field: 'phone_numbers' }
    const { id: fourth } = await sendToNumbers(rt(), numbers)
    await submit()
    await reply('to the fourth')
    expect(first).toBeLessThan(second)
    expect(await replies()).toEqual([
      [second, 'to the second'],
      [third, 'to the third'],
      [fourth, 'to the fourth'],
    ])
  })

  test('is not one that bounced, but one without a receipt', async () => {
    const [first, second] = [await broadcast(), await broadcast()]
    const end = (id: number, state: string, reason: string) =>
      database.db.exec('end', 'update message_log set state = $2, reason = $3 where message_id = $1', [
        id,
        state,
        reason,
      ])
    await end(second, 'bounced', 'hard')
    await end(first, 'expired', 'no_receipt')
    await reply('Hello')
    expect(await replies()).toEqual([[first, 'Hello']])
  })

  test('may be older than the recent days', async () => {
    const id = await broadcast()
    wait(90 * 86_400_000)
    await ensureLogDay(database.db, clock.time.toISOString().slice(0, 10))
    await reply('Still interested')
    expect(await replies()).toEqual([[id, 'Still interested']])
  })
})

describe('a long text', () => {
  const part = (number: number, reference = 7) => ({ part: { reference, total: 3, number } })

  test.each([
    ['in order', [1, 2, 3]],
    ['in another order', [3, 1, 2]],
    ['with a repeated part', [2, 2, 1, 3, 3]],
  ])('is reported once, with its last part: %s', async (_name, numbers) => {
    const id = await broadcast()
    wait(1_000)
    for (const number of numbers) await receive(`<${number}>`, part(number))
    await interpret()
    const apart = await replies()
    for (const number of numbers) await reply(`<${number}>`, part(number, 8))
    const expected = [[id, '<1><2><3>']]
    expect([apart, await replies()]).toEqual([expected, expected])
    // no copy of a part is left
    wait(2 * 3_600_000)
    await reportIncomplete(rt())
    expect(await replies()).toEqual([])
  })

  test('of which a part is missing is reported after an hour, and its reference may be used again', async () => {
    const id = await broadcast()
    await reply('<old>', part(1))
    await reply('<old>', part(3))
    wait(3_600_000)
    await reportIncomplete(rt())
    expect(await replies()).toEqual([])
    wait(1)
    await Promise.all([reportIncomplete(rt()), reportIncomplete(rt())])
    expect(await replies()).toEqual([[id, '<old>[…]<old>']])
    await reportIncomplete(rt())
    for (const number of [1, 2, 3, 1, 2, 3]) await reply(`<${number}>`, part(number))
    expect(await replies()).toEqual(Array.from({ length: 2 }, () => [id, '<1><2><3>']))
  })
})

describe('a reply to a transactional message', () => {
  const send = async (webhookCallbackUrl: string | null = 'https://shop.example/sms?order=7', to = list) => {
    const { accountId, shortCodeId } = to
    const text = { accountId, listId: null, shortCodeId, phones: [phone], content: 'Ready', webhookCallbackUrl }
    const { id } = await sendToNumbers(rt(), { ...text, field: 'number' })
    await submit()
    return id
  }

  test('goes to its callback, in the order of the contract, and no list receives it', async () => {
    await database.db.exec(
      'look_up',
      `insert into number_look_ups (phone, kind, carrier, carrier_name, looked_up_at) values ($1, 'mobile', 77, 'Cedar', now())`,
      [phone],
    )
    await broadcast()
    const id = await send()
    await reply('On my way')
    const events = await database.db.many('urls', 'select callback_url as url, list_id as list from event_outbox')
    expect(events).toEqual([{ url: 'https://shop.example/sms?order=7', list: null }])
    const [payload] = await payloads()
    expect(Object.entries(payload ?? {})).toEqual(
      Object.entries({
        type: 'transactional_message_reply',
        transactional_message_id: id,
        received_at: '2026-03-02T02:01:02-08:00',
        phone_number: String(phone),
        carrier: 77,
        carrier_name: 'Cedar',
        content: 'On my way',
      }),
    )
  })

  test.each(['STOP', 'HELP', 'START'])('%j is no reply to a message', async (content) => {
    await send()
    await reply(content)
    expect(await replies()).toEqual([])
  })

  test('is to the latest one; a newer message of a list gets it, and one without a callback does not', async () => {
    await send()
    const second = await send()
    await reply('to the second')
    const third = await broadcast()
    await reply('to the third')
    await send(null)
    await reply('also to the third')
    expect(await replies()).toEqual([
      [second, 'to the second', 'callback'],
      [third, 'to the third'],
      [third, 'also to the third'],
    ])
  })

  test('needs no list and no listener, and the feed receives it without a callback', async () => {
    const silent = await newList({ listeners: 0 })
    const first = await send(undefined, silent)
    await reply('Hello', { to: silent.code })
    await database.db.exec('feed', 'update accounts set event_feed = true where id = $1', [silent.accountId])
    const second = await send(null, silent)
    await reply('Hello', { to: silent.code })
    expect(await replies()).toEqual([first, second].map((id) => [id, 'Hello', 'callback']))
  })
})

test('a reply to a list by a number that is not on it has an empty profile', async () => {
  const { accountId, id: listId, shortCodeId } = list
  await database.db.exec('remove', 'delete from subscribers where list_id = $1', [listId])
  const numbers = { accountId, listId, shortCodeId, phones: [phone], content: 'To you', field: 'phone_numbers' }
  const { id } = await sendToNumbers(rt(), numbers)
  await submit()
  await reply('Who is this?')
  expect(await payloads()).toMatchObject([
    {
      message_id: id,
      opt_id: null,
      phone_number: String(phone),
      first_name: null,
      tag_list: [],
      last_opt_in_method: null,
    },
  ])
})

test('a reply that fails is reported when its interpretation succeeds, and once', async () => {
  const id = await broadcast()
  await database.db.exec(
    'function',
    `create function reject_reply() returns trigger language plpgsql as
       $$ begin raise 'no'; end $$`,
  )
  await database.db.exec(
    'trigger',
    `create trigger reject before insert on event_outbox for each row when (new.type = 'campaign_response')
     execute function reject_reply()`,
  )
  await reply('Hello')
  expect(await replies()).toEqual([])
  await database.db.exec('drop', 'drop trigger reject on event_outbox')
  await Promise.all([interpret(), interpret(), interpret()])
  expect(await replies()).toEqual([[id, 'Hello']])
})

test('the feed of an account receives replies to all of its lists', async () => {
  const silent = await newList({ listeners: 0 })
  const id = await broadcast(silent)
  await reply('too early', { to: silent.code })
  await database.db.exec('feed', 'update accounts set event_feed = true where id = $1', [silent.accountId])
  await reply('Hello', { to: silent.code })
  expect(await replies()).toEqual([[id, 'Hello']])
})
