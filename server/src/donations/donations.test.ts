import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readGift } from './donations.schema.ts'
import { createSubscriberDonation } from './donations.ts'

const now = new Date('2026-03-02T10:00:00.500Z')
const api = useApi({ clock: { now: () => now } })

const phone = '2065550143'
let list = { id: 0 }
let messageId = 0

beforeEach(async () => {
  list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
  await make.subscriber(api.db, { listId: list.id, phone: Number(phone), state: 'unsubscribed' })
  const response = await api.owner.post(`/lists/${list.id}/messages`, { message: { content: 'Give' } })
  messageId = (response.body.message as { id: number }).id
})

const gift = { amount: '25', donation_platform: 'GiveRiver', donation_platform_uid: 'gr-1' }
const nothing = { utm_campaign: null, utm_medium: null, utm_source: null, utm_term: null, utm_content: null }
const byPhone = (body: object, person = api.owner) =>
  person.post(`/lists/${list.id}/subscribers/${phone}/donations`, body)
const byMessage = (body: object, person = api.owner) =>
  person.post(`/lists/${list.id}/messages/${messageId}/donations`, body)
const all = async () => (await api.owner.get(`/lists/${list.id}/donations`)).body

describe('recording', () => {
  test('accepts a gift of a subscriber who has opted out', async () => {
    const given = {
      ...gift,
      donated_at: '2025-10-02T01:20:11.123Z',
      utm_campaign: 'fall',
      utm_source: 'text',
      refcodes: ['fall-a', 'fall-b'],
    }
    const response = await byPhone(given)
    expect(response.status).toBe(201)
    expect(response.body).toEqual({
      status: 'Donation created',
      donation: {
        ...nothing,
        ...given,
        id: expect.any(Number),
        amount: '25.0',
        donated_at: '2025-10-01T18:20:11.123-07:00',
        phone_number: phone,
        message_id: null,
        message_link: null,
      },
    })
  })

  test('accepts a gift that a message prompted, without a number; donated_at is now by default', async () => {
    const response = await byMessage({ ...gift, amount: 40.5 })
    expect(response.status).toBe(201)
    expect(response.body).toEqual({
      status: 'Donation created',
      donation: {
        ...nothing,
        ...gift,
        id: expect.any(Number),
        amount: '40.5',
        donated_at: '2026-03-02T02:00:00.500-08:00',
        refcodes: [],
        message_id: messageId,
        message_link: null,
      },
    })
  })

  test('accepts the former envelope', async () => {
    const donation = { ...gift, refcodes_attributes: [{ refcode: 'a' }, { refcode: 'b' }] }
    expect((await byPhone({ donation })).body.donation).toMatchObject({ ...gift, amount: '25.0', refcodes: ['a', 'b'] })
    const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } }
    const payload =
      'donation[amount]=3.14&donation[donation_platform]=GiveRiver&donation[donation_platform_uid]=gr-2' +
      '&donation[refcodes][]=c&donation[utm_term]='
    const response = await api.owner.post(`/lists/${list.id}/messages/${messageId}/donations`, undefined, {
      ...form,
      payload,
    })
    expect(response.body.donation).toMatchObject({ amount: '3.14', refcodes: ['c'], utm_term: '' })
  })

  test.each([
    ['0.01', '0.01'],
    ['999999.99', '999999.99'],
    [1000, '1000.0'],
    ['7.500', '7.5'],
    [' 12.30 ', '12.3'],
  ])('presents an amount of %j as %s', async (amount, shown) => {
    expect((await byPhone({ ...gift, amount })).body.donation).toMatchObject({ amount: shown })
  })

  const amountError = 'must be a number of dollars up to 999999.99'
  test.each([
    [
      {},
      { amount: ["can't be blank"], donation_platform: ["can't be blank"], donation_platform_uid: ["can't be blank"] },
    ],
    [{ ...gift, amount: '-5' }, { amount: [amountError] }],
    [{ ...gift, amount: '1000000' }, { amount: [amountError] }],
    [{ ...gift, amount: '1.234' }, { amount: [amountError] }],
    [{ ...gift, amount: '$5' }, { amount: [amountError] }],
    [{ ...gift, amount: '' }, { amount: [amountError] }],
    [{ ...gift, amount: 1e21 }, { amount: [amountError] }],
    [{ ...gift, amount: '0.00' }, { amount: ['must be greater than 0'] }],
    [{ ...gift, amount: null }, { amount: ['must be a string or a number'] }],
    [{ ...gift, donation_platform: ' ' }, { donation_platform: ["can't be blank"] }],
    [
      { ...gift, donation_platform_uid: 'a'.repeat(192) },
      { donation_platform_uid: ['is too long (maximum is 191 characters)'] },
    ],
    [
      { ...gift, donated_at: '2025-10-01' },
      { donated_at: ['must be a time with an offset, as 2031-05-06T09:00:00-07:00'] },
    ],
    [{ ...gift, utm_term: 'a'.repeat(192) }, { utm_term: ['is too long (maximum is 191 characters)'] }],
    [{ ...gift, refcodes: 'a' }, { refcodes: ['must be an array or null'] }],
    [{ donation: { ...gift, refcodes_attributes: [{}] } }, { refcodes: ['must be a string'] }],
    [{ donation: 5 }, { amount: ["can't be blank"] }],
  ])('rejects %j', async (body, details) => {
    for (const response of [await byPhone(body), await byMessage(body)]) {
      expect(response).toMatchObject({ status: 422, body: { code: 'invalid', details } })
    }
    expect(await all()).toMatchObject({ count: 0 })
  })

  test('records a platform id once per list', async () => {
    await byPhone(gift)
    const again = {
      status: 422,
      body: { error: 'Validation failed: Donation platform uid has already been taken', code: 'invalid' },
    }
    expect(await byPhone({ ...gift, amount: 1 })).toMatchObject(again)
    expect(await byMessage(gift)).toMatchObject(again)
    expect(await all()).toMatchObject({ count: 1, donations: [{ amount: '25.0' }] })
    expect((await byPhone({ ...gift, donation_platform: 'Other' })).status).toBe(201)
    const other = await make.list(api.db, { accountId: api.owner.accountId })
    await make.subscriber(api.db, { listId: other.id, phone: Number(phone) })
    expect((await api.owner.post(`/lists/${other.id}/subscribers/${phone}/donations`, gift)).status).toBe(201)
  })

  test('records a platform id once when requests are concurrent', async () => {
    const fresh = await freshDatabase()
    try {
      const { id: accountId } = await make.account(fresh.db)
      const made = await make.list(fresh.db, { accountId })
      await make.subscriber(fresh.db, { listId: made.id, phone: Number(phone) })
      const read = readGift(gift, now)
      const attempts = await Promise.allSettled(
        Array.from({ length: 6 }, () => createSubscriberDonation(makeRuntime(fresh), accountId, made.id, phone, read)),
      )
      expect(attempts.map(({ status }) => status).sort()).toEqual(['fulfilled', ...Array(5).fill('rejected')])
    } finally {
      await fresh.close()
    }
  })
})

describe('reading', () => {
  test('returns pages, newest first, of all donations of a list or those of a number', async () => {
    for (const uid of ['1', '2', '3']) await byPhone({ ...gift, donation_platform_uid: uid })
    await byMessage({ ...gift, donation_platform_uid: '4' })
    const uids = (body: Record<string, unknown>) =>
      (body.donations as { donation_platform_uid: string }[]).map(({ donation_platform_uid }) => donation_platform_uid)
    const page = (await api.owner.get(`/lists/${list.id}/donations?per_page=3`)).body
    expect(page).toMatchObject({ status: 'OK', per_page: 3, count: 4, page: 1, pages_count: 2 })
    expect(uids(page)).toEqual(['4', '3', '2'])
    const own = (await api.owner.get(`/lists/${list.id}/subscribers/${phone}/donations?page=2&per_page=2`)).body
    expect(own).toMatchObject({ status: 'OK', count: 3, page: 2, pages_count: 2 })
    expect(uids(own)).toEqual(['1'])
  })
})

test('a draft has no donations, and can be deleted', async () => {
  const draft = { content: 'Give', draft: true }
  const { body } = await api.owner.post(`/lists/${list.id}/messages`, { message: draft })
  messageId = (body.message as { id: number }).id
  expect(await byMessage(gift)).toMatchObject({ status: 404, body: { error: 'Message not found' } })
  expect((await api.owner.delete(`/lists/${list.id}/messages/${messageId}`)).status).toBe(200)
})

test('responds with 404 for unknown ids and for other accounts', async () => {
  const requestsTo = (path: string, person = api.owner) => [
    person.post(`${path}/donations`, gift),
    ...(path.includes('messages') ? [] : [person.get(`${path}/donations`)]),
  ]
  const cases: [path: string, error: string, person?: typeof api.owner][] = [
    [`/lists/${list.id}/subscribers/2065550144`, 'Subscriber not found'],
    [`/lists/${list.id}/subscribers/abc`, 'Subscriber not found'],
    [`/lists/${list.id}/messages/${messageId + 1_000}`, 'Message not found'],
    [`/lists/${list.id}/messages/abc`, 'Message not found'],
    [`/lists/${list.id}/subscribers/${phone}`, 'List not found', api.stranger],
    [`/lists/${list.id}/messages/${messageId}`, 'List not found', api.stranger],
  ]
  const theirs = await make.list(api.db, { accountId: api.stranger.accountId })
  cases.push([`/lists/${theirs.id}/messages/${messageId}`, 'Message not found', api.stranger])
  for (const [path, error, person] of cases) {
    for (const response of await Promise.all(requestsTo(path, person))) {
      expect(response, path).toMatchObject({ status: 404, body: { error } })
    }
  }
  expect(await api.stranger.get(`/lists/${list.id}/donations`)).toMatchObject({
    status: 404,
    body: { error: 'List not found' },
  })
  expect(await all()).toMatchObject({ count: 0, donations: [] })
})
