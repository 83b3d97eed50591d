import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { blockNumbers } from '../../short-codes/short-codes.queries.ts'
import { lanes } from '../messages.ts'

const api = useApi()
const path = '/transactional_messages'
const text = { number: '2065550143', content: 'Your pickup is at five.' }

const countMessages = async () =>
  (await api.db.one<{ n: number }>('count_all', 'select count(*)::int as n from messages')).n

describe('a text to one number', () => {
  test.each([
    ["in the contract's envelope", { transactional_message: text }],
    ["in the plural form of the contract's envelope", { transactional_messages: text }],
    ['without an envelope', text],
    ['with phone_number instead of number', { phone_number: '(206) 555-0143', content: text.content }],
    ["with all keys of the contract's examples", { transactional_message: { ...text, is_mms: false, subject: null } }],
    ['with the phone number as an integer', { transactional_message: { ...text, number: 2065550143 } }],
  ])('is accepted %s', async (_case, body) => {
    const response = await api.owner.post(path, body)
    expect(response).toMatchObject({
      status: 200,
      body: {
        status: 'Message successfully sent.',
        transactional_message: { id: expect.any(Number), ...text, status: 'pending' },
      },
    })
  })

  test('is queued in its lane, from the first short code, with its callback address', async () => {
    await make.shortCode(api.db, { accountId: api.owner.accountId })
    const url = 'https://pantry.example/texts?secret=1'
    const response = await api.owner.post(path, { transactional_message: { ...text, webhook_callback_url: url } })
    const { id } = response.body.transactional_message as { id: number }
    const row = await api.db.one(
      'find_queued',
      `select m.kind, m.list_id, m.short_code_id, m.webhook_callback_url, l.phone, l.state, c.lane
         from messages m
         join message_log l on l.message_id = m.id
         join send_chunks c on c.message_id = m.id and l.id between c.first_log_id and c.last_log_id
        where m.id = $1`,
      [id],
    )
    expect(row).toEqual({
      kind: 'transactional',
      list_id: null,
      short_code_id: api.owner.shortCode.id,
      webhook_callback_url: url,
      phone: 2065550143,
      state: 'queued',
      lane: lanes.transactional,
    })
  })

  test('requires an API key with the scope send, not read', async () => {
    for (const [scope, status] of [
      ['send', 200],
      ['read', 403],
    ] as const) {
      const { key } = await make.apiKey(api.db, { accountId: api.owner.accountId, scope })
      expect((await api.owner.post(path, text, { headers: { authorization: basic(key) } })).status).toBe(status)
    }
  })
})

describe('the request is rejected', () => {
  test.each([
    ['with 161 letters', { ...text, content: 'a'.repeat(161) }, 'Content is too long (maximum is 160 characters)'],
    ['with blank content', { ...text, content: ' ' }, "Content can't be blank"],
    ['without any key', {}, "Number can't be blank, Content can't be blank"],
    ['with a malformed number', { ...text, number: '555' }, 'Number must be ten digits'],
    ['with null as the number', { ...text, number: null }, 'Number must be a string or an integer'],
    [
      'for an MMS',
      { ...text, is_mms: true, content: 'a'.repeat(900) },
      'Is mms is not supported yet: only SMS can be sent',
    ],
    [
      'with a callback address that is not http or https',
      { ...text, webhook_callback_url: 'ftp://x' },
      'Webhook callback url must be an http or https address',
    ],
    [
      'with a callback address that contains a password',
      { ...text, webhook_callback_url: 'https://a:b@hooks.example/' },
      'Webhook callback url must not contain a user name or a password',
    ],
    [
      'with a private callback address',
      { ...text, webhook_callback_url: 'http://0xa9fea9fe/latest/' },
      'Webhook callback url must not be a private address',
    ],
    [
      'with a callback address of 3,000 characters',
      { ...text, webhook_callback_url: `https://hooks.example/${'a'.repeat(2_978)}` },
      'Webhook callback url is too long (maximum is 2048 characters)',
    ],
  ])('%s', async (_case, message, error) => {
    const response = await api.owner.post(path, { transactional_message: message })
    expect(response).toMatchObject({ status: 422, body: { error: `Validation failed: ${error}` } })
    expect(await countMessages()).toBe(0)
  })

  test('with the names of the keys if there is no envelope', async () => {
    const response = await api.owner.post(path, { content: 'Hello' })
    expect(response).toMatchObject({ status: 422, body: { details: { number: ["can't be blank"] } } })
  })

  test('for an account without a short code', async () => {
    const { id: accountId } = await make.account(api.db)
    const { key } = await make.apiKey(api.db, { accountId })
    const response = await api.owner.post(path, text, { headers: { authorization: basic(key) } })
    expect(response).toMatchObject({ status: 422, body: { code: 'no_short_code' } })
  })
})

describe('a number that has sent STOP to the short code', () => {
  // after the wait in which no add lifts the block
  const longAgo = new Date(Date.now() - 49 * 3_600_000)
  const block = (shortCodeId: number) => blockNumbers(api.db, shortCodeId, [2065550143], longAgo)

  test('is rejected until it opts in on a list of that short code', async () => {
    await block(api.owner.shortCode.id)
    const rejected = await api.owner.post(path, { transactional_message: text })
    expect(rejected).toMatchObject({
      status: 422,
      body: { code: 'opted_out', error: 'Validation failed: Number has opted out: 2065550143' },
    })
    expect(await countMessages()).toBe(0)

    const given = { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id }
    const list = await make.list(api.db, given)
    const add = (flags: object) =>
      api.owner.post(`/lists/${list.id}/subscribers`, { subscriber: { phone_number: text.number, ...flags } })
    await add({})
    // an opt-in request is not an opt-in
    expect((await api.owner.post(path, text)).status).toBe(422)
    await add({ bypass_opt_in_process: true, bypass_opt_in_response: true })
    expect((await api.owner.post(path, text)).status).toBe(200)
  })

  test("gets texts from another account's short code", async () => {
    await block(api.stranger.shortCode.id)
    expect((await api.owner.post(path, text)).status).toBe(200)
    expect((await api.stranger.post(path, text)).status).toBe(422)
  })

  test('is accepted after a first opt-in with bypass', async () => {
    await block(api.owner.shortCode.id)
    const given = { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id }
    const list = await make.list(api.db, given)
    const subscriber = { phone_number: text.number, bypass_opt_in_process: true, bypass_opt_in_response: true }
    await api.owner.post(`/lists/${list.id}/subscribers`, { subscriber })
    expect((await api.owner.post(path, text)).status).toBe(200)
  })
})
