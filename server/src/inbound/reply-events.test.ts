import { describe, expect, test } from 'vitest'
import { phone, useReplies } from '../../test/reply-world.ts'
import { closeOverdue } from '../broadcasts/close.ts'
import { attachKeywords } from '../keywords/keywords.ts'
import { ensureLogDay } from '../log/log-days.queries.ts'
import { sendSystemText, sendToNumbers } from '../messages/messages.ts'

const world = useReplies()
const { rt, wait, newList, receive, interpret, reply, submit, broadcast, payloads, replies } = world

test('a reply reports the message and the profile, in the order of the contract', async () => {
  await world.db.exec(
    'field',
    `insert into custom_fields (list_id, key, label, content_type, max_length, created_at, updated_at)
     select $1, key, key, 'text', 20, now(), now() from unnest('{2026,reply_content}'::text[]) key`,
    [world.list.id],
  )
  await world.db.exec(
    'profile',
    `update subscribers set custom_fields = '{"2026": "yes", "reply_content": "mine"}', tags = '{a}', birthdate = '19900409'
      where list_id = $1`,
    [world.list.id],
  )
  const record = async (kind: string, keyword: string) =>
    (
      await world.db.one<{ id: number }>(
        'opt',
        `insert into opts (account_id, list_id, phone, kind, method, keyword_name, actor, created_at)
         values ($1, $2, $3, $4, 'keyword', $5, 'mo:1', now()) returning id`,
        [world.list.accountId, world.list.id, phone, kind, keyword],
      )
    ).id
  await record('opt_in', 'OLD')
  await record('opt_out', 'STOP')
  const optId = await record('opt_in', 'SOUP')
  await record('opt_in_requested', 'LATER')
  const messageId = await broadcast()
  await reply('I will bring 🥖')
  const [payload, ...others] = await payloads()
  expect(others).toEqual([])
  expect(Object.entries(payload ?? {})).toEqual(
    Object.entries({
      2026: 'yes',
      type: 'campaign_response',
      timestamp: '2026-03-02T02:01:01-08:00',
      account_id: world.list.accountId,
      campaign_id: world.list.id,
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
    await world.db.tx((tx) => attachKeywords(tx, world.list, names, world.clock.time))
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
    const other = await newList({ on: world.list, listeners: 0 })
    await world.db.exec(
      'pending',
      `update subscribers set state = 'pending', opt_in_requested_at = $2 where list_id = $1`,
      [other.id, new Date(world.clock.time.getTime() + afterMs)],
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
    await newList({ on: world.list })
    await world.db.exec('delete', 'update lists set deleted_at = $2 where id = $1', [world.list.id, world.clock.time])
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
    const other = await newList({ on: world.list })
    const second = await broadcast(other)
    const unheard = await newList({ on: world.list, listeners: 15 })
    await reply('to the second')
    const third = await broadcast(world.list)
    const { accountId, id: listId, shortCodeId } = world.list
    const text = { accountId, listId, shortCodeId, phone, content: 'Welcome' }
    await world.db.tx((tx) => sendSystemText(tx, rt(), { ...text, consent: 'not_opted_out' }))
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
      world.db.exec('end', 'update message_log set state = $2, reason = $3 where message_id = $1', [id, state, reason])
    await end(second, 'bounced', 'hard')
    await end(first, 'expired', 'no_receipt')
    await reply('Hello')
    expect(await replies()).toEqual([[first, 'Hello']])
  })

  /** Waits until all messages are closed, and empties the log, whose days are no longer read. */
  const closeAll = async () => {
    const { accountId } = world.list
    await world.db.exec(
      'close_others',
      `update messages set status = 'sent', sent_at = now(), closed_at = now() where account_id <> $1 and closed_at is null`,
      [accountId],
    )
    await world.db.exec('sent', `update message_log set state = 'sent' where state = 'submitting'`)
    await world.db.exec('counted', 'update message_counters set sent = sent + submitting, submitting = 0')
    await world.db.exec('end_all', `update messages set status = 'sent', sent_at = $1 where status = 'sending'`, [
      world.clock.time,
    ])
    wait(90 * 86_400_000)
    while (await closeOverdue(rt()));
    const open = await world.db.many('open', 'select from messages where closed_at is null')
    expect(open).toEqual([])
    await world.db.exec('empty', 'truncate message_log')
    await ensureLogDay(world.db, world.clock.time.toISOString().slice(0, 10))
  }

  test('may be closed, of any list of the short code or of one that has left it', async () => {
    await broadcast()
    const second = await broadcast(await newList({ on: world.list }))
    await closeAll()
    await reply('to the second')
    const { accountId, id: listId, shortCodeId } = world.list
    const numbers = {
      accountId,
      listId,
      shortCodeId,
      phones: [phone, phone + 1],
      content: 'To you',
      field: 'phone_numbers',
    }
    const { id: third } = await sendToNumbers(rt(), numbers)
    await submit()
    await closeAll()
    await reply('to the third')
    const elsewhere = await newList({ on: { ...world.list, shortCodeId: (await newList()).shortCodeId } })
    await world.db.exec('move', 'update lists set short_code_id = $2 where id = $1', [listId, elsewhere.shortCodeId])
    await world.db.exec('former', 'insert into former_short_codes (short_code_id, list_id) values ($1, $2)', [
      shortCodeId,
      listId,
    ])
    await reply('to the third again')
    expect(await replies()).toEqual([
      [second, 'to the second'],
      [third, 'to the third'],
      [third, 'to the third again'],
    ])
  })

  test('that is closed is not one that bounced, nor one sent after the text', async () => {
    const first = await broadcast()
    wait(60_000)
    const second = await broadcast()
    await world.db.exec('bounce', `update message_log set state = 'bounced', reason = 'soft' where message_id = $1`, [
      second,
    ])
    await world.db.exec(
      'bounces',
      'update message_counters set bounced = submitting, submitting = 0 where message_id = $1',
      [second],
    )
    const receivedAt = world.clock.time
    await closeAll()
    await reply('to the first')
    world.clock.time = new Date(receivedAt.getTime() - 300_000)
    await receive('before both')
    wait(100 * 86_400_000)
    await interpret()
    expect(await replies()).toEqual([[first, 'to the first']])
  })
})

test('a reply to a list by a number that is not on it has an empty profile', async () => {
  const { accountId, id: listId, shortCodeId } = world.list
  await world.db.exec('remove', 'delete from subscribers where list_id = $1', [listId])
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
  await world.db.exec(
    'function',
    `create function reject_reply() returns trigger language plpgsql as
       $$ begin raise 'no'; end $$`,
  )
  await world.db.exec(
    'trigger',
    `create trigger reject before insert on event_outbox for each row when (new.type = 'campaign_response')
     execute function reject_reply()`,
  )
  await reply('Hello')
  expect(await replies()).toEqual([])
  await world.db.exec('drop', 'drop trigger reject on event_outbox')
  await Promise.all([interpret(), interpret(), interpret()])
  expect(await replies()).toEqual([[id, 'Hello']])
})

test('the feed of an account receives replies to all of its lists', async () => {
  const silent = await newList({ listeners: 0 })
  const id = await broadcast(silent)
  await reply('too early', { to: silent.code })
  await world.db.exec('feed', 'update accounts set event_feed = true where id = $1', [silent.accountId])
  await reply('Hello', { to: silent.code })
  expect(await replies()).toEqual([[id, 'Hello']])
})
