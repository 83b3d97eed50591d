import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { totalMessageDonations } from './donations.queries.ts'

const start = new Date('2026-03-02T10:00:00Z')
let now = start
const api = useApi({ clock: { now: () => now } })
const at = (minute: number) => new Date(start.getTime() + minute * 60_000)
const phone = '2065550143'
let list = { id: 0 }
let uid = 0

beforeEach(async () => {
  now = start
  list = await makeList()
})

async function makeList(person = api.owner) {
  const made = await make.list(api.db, { accountId: person.accountId, shortCodeId: person.shortCode.id })
  await make.subscriber(api.db, { listId: made.id, phone: Number(phone) })
  return made
}

type Shown = { id: number; message_id: number | null; message_link: string | null }

/** Sends a message that is accepted at a minute. */
async function send(
  minute: number,
  content: string,
  { of = list, person = api.owner, message = {} } = {},
): Promise<number> {
  now = at(minute)
  const response = await person.post(`/lists/${of.id}/messages`, { message: { content, ...message } })
  expect(response.status, response.text).toBe(200)
  return (response.body.message as { id: number }).id
}

/** Records a donation, as it is shown when it is created. */
async function give(minute: number, codes: object, { of = list, person = api.owner, amount = '10', message = 0 } = {}) {
  const path = message === 0 ? `subscribers/${phone}` : `messages/${message}`
  const response = await person.post(`/lists/${of.id}/${path}/donations`, {
    ...{
      amount,
      donation_platform: 'GiveRiver',
      donation_platform_uid: String(++uid),
      donated_at: at(minute).toISOString(),
    },
    ...codes,
  })
  expect(response.status, response.text).toBe(201)
  return response.body.donation as Shown
}

const listed = async (id: number) => {
  const { donations } = (await api.owner.get(`/lists/${list.id}/donations?per_page=100`)).body
  return (donations as Shown[]).find((donation) => donation.id === id)
}

const totals = async (message: number) => (await api.owner.get(`/lists/${list.id}/messages/${message}/donations`)).body

const fall = 'https://give.example/soup?refcode=fall'

describe('a donation is attributed to', () => {
  test('the last message before it with its code, and the link of that message', async () => {
    const first = await send(0, `Give at ${fall}`)
    const second = await send(10, `Again: ${fall}&amount=5.`)
    await send(20, 'Other: https://give.example/soup?refcode=winter')
    const cases: [minute: number, message: number | null, link: string | null][] = [
      [-1 / 60_000, null, null],
      [0, first, fall],
      [10 - 1 / 60_000, first, fall],
      [10, second, `${fall}&amount=5`],
      [10_000, second, `${fall}&amount=5`],
    ]
    for (const [minute, message_id, message_link] of cases) {
      const donation = await give(minute, { refcodes: ['fall'] })
      expect([minute, donation, await listed(donation.id)]).toMatchObject([
        minute,
        { message_id, message_link },
        { message_id, message_link },
      ])
    }
    expect(await totals(first)).toMatchObject({ count: 2, amount: '20.0', links: [{ link: fall, donation_count: 2 }] })
    expect(await totals(second)).toMatchObject({ count: 2, amount: '20.0' })
  })

  test('the later one of two messages that were accepted at the same time', async () => {
    const [first, second] = [await send(0, fall), await send(0, fall)]
    expect(await give(0, { refcodes: ['fall'] })).toMatchObject({ message_id: second })
    expect([(await totals(first)).count, (await totals(second)).count]).toEqual([0, 1])
  })

  test('the latest message of any of its codes, once', async () => {
    const first = await send(0, 'https://give.example/?refcode=a https://give.example/?refcode=b')
    const second = await send(5, 'https://give.example/?utm_campaign=c')
    const campaign = { refcodes: ['a', 'b', 'a'], utm_campaign: 'c' }
    expect(await give(4, campaign)).toMatchObject({
      message_id: first,
      message_link: 'https://give.example/?refcode=a',
    })
    expect(await give(6, campaign)).toMatchObject({
      message_id: second,
      message_link: 'https://give.example/?utm_campaign=c',
    })
    expect([(await totals(first)).count, (await totals(second)).count]).toEqual([1, 1])
  })

  test('no message without its exact code', async () => {
    const message = await send(
      0,
      'https://give.example/?refcode=fall%20a&utm_campaign=&utm_source=text see {first_name}',
    )
    for (const codes of [
      {},
      { refcodes: ['fall'] },
      { refcodes: ['Fall a'] },
      { utm_campaign: 'fall a' },
      { utm_campaign: '' },
    ]) {
      expect(await give(1, codes)).toMatchObject({ message_id: null, message_link: null })
    }
    expect(await give(1, { utm_source: 'text' })).toMatchObject({ message_id: null })
    expect(await give(1, { refcodes: ['fall a'] })).toMatchObject({ message_id: message })
  })

  test('the message that it names, also if a later one has its code', async () => {
    const [first, second] = [await send(0, fall), await send(5, `https://b.example/?refcode=fall`)]
    expect(await give(6, { refcodes: ['fall'] }, { message: first })).toMatchObject({
      message_id: first,
      message_link: fall,
    })
    expect(await give(6, { refcodes: ['x'] }, { message: second })).toMatchObject({
      message_id: second,
      message_link: null,
    })
    expect(await totals(first)).toMatchObject({ count: 1, links: [{ link: fall }] })
    expect(await totals(second)).toMatchObject({ count: 1, links: [{ link: null }] })
  })

  test('no message of another list or account', async () => {
    const other = await makeList()
    const theirs = await makeList(api.stranger)
    await send(0, fall, { of: other })
    const their = await send(0, fall, { of: theirs, person: api.stranger })
    const donation = await give(1, { refcodes: ['fall'] })
    expect(donation).toMatchObject({ message_id: null })
    expect(await give(1, { refcodes: ['fall'] }, { of: theirs, person: api.stranger })).toMatchObject({
      message_id: their,
    })
    expect(await api.owner.get(`/lists/${theirs.id}/messages/${their}/donations`)).toMatchObject({ status: 404 })
    expect(await api.owner.get(`/lists/${list.id}/messages/${their}/donations`)).toMatchObject({ status: 404 })
  })

  test('a message that is stored after the donation, if it was accepted before it', async () => {
    const donation = await give(5, { refcodes: ['fall'] })
    expect(donation).toMatchObject({ message_id: null })
    const message = await send(4, fall)
    await send(6, fall)
    expect(await listed(donation.id)).toMatchObject({ message_id: message, message_link: fall })
    expect(await totals(message)).toMatchObject({ count: 1, donations: [{ id: donation.id, message_link: fall }] })
  })

  test('a draft or a scheduled message only after it was sent, and no text to single numbers', async () => {
    const draft = await send(0, fall, { message: { draft: true } })
    await send(0, fall, { message: { phone_numbers: [phone] } })
    expect(await give(1, { refcodes: ['fall'] })).toMatchObject({ message_id: null })
    now = at(2)
    expect((await api.owner.post(`/lists/${list.id}/messages/${draft}/send`)).status).toBe(200)
    expect(await give(1.9, { refcodes: ['fall'] })).toMatchObject({ message_id: null })
    expect(await give(2, { refcodes: ['fall'] })).toMatchObject({ message_id: draft, message_link: fall })
  })

  test('a message with tracked links, by the links of its content', async () => {
    const message = await send(0, fall, { message: { track_links: true } })
    expect(await give(1, { refcodes: ['fall'] })).toMatchObject({ message_id: message, message_link: fall })
  })
})

test('the donations of a message are paged, newest first, with totals by link', async () => {
  const b = 'https://give.example/b?refcode=b'
  const message = await send(0, `${fall} or ${b}`)
  for (const [code, amount] of [
    ['fall', '10'],
    ['b', '999999.99'],
    ['b', '999999.99'],
    ['fall', '0.05'],
  ] as const) {
    await give(1, { refcodes: [code] }, { amount })
  }
  const page = (await api.owner.get(`/lists/${list.id}/messages/${message}/donations?per_page=3`)).body
  expect(page).toMatchObject({
    ...{ status: 'OK', per_page: 3, count: 4, page: 1, pages_count: 2, amount: '2000010.03' },
    links: [
      { link: b, donation_count: 2, amount: '1999999.98' },
      { link: fall, donation_count: 2, amount: '10.05' },
    ],
  })
  expect((page.donations as { amount: string }[]).map(({ amount }) => amount)).toEqual([
    '0.05',
    '999999.99',
    '999999.99',
  ])
  const last = (await api.owner.get(`/lists/${list.id}/messages/${message}/donations?per_page=3&page=2`)).body
  expect(last).toMatchObject({ donations: [{ amount: '10.0' }], amount: '2000010.03' })
  expect(await totals(await send(5, 'No link'))).toMatchObject({ count: 0, amount: '0.0', links: [], donations: [] })
})

test('the donations of a message are read by their codes and times, not those of other messages', async () => {
  const database = await freshDatabase()
  try {
    const { db } = database
    const made = await make.list(db)
    const rt = { ...makeRuntime(database), clock: { now: () => now } }
    const ids: number[] = []
    for (let n = 0; n < 20; n++) {
      now = at(n)
      ids.push((await acceptBroadcast(rt, { accountId: made.accountId, list: made, content: fall })).id)
    }
    await db.exec(
      'give_much',
      `with d as (
         insert into donations (list_id, phone, amount, donated_at, donation_platform, donation_platform_uid, refcodes, created_at)
         select $1, 2065550143, 1, $2::timestamptz + n * interval '1 min' / 100, 'p', n, '{fall}', now() from generate_series(0, 1999) n
         returning *)
       insert into donation_codes select list_id, 'refcode', 'fall', donated_at, id from d`,
      [made.id, start],
    )
    const { compared, rows } = await explain(database, (tx) => totalMessageDonations(tx, ids[9] ?? 0))
    expect(rows).toBe(1)
    // a hundred donations, each with its attribution
    expect(compared).toBeLessThan(3_000)
    expect(await totalMessageDonations(db, ids[9] ?? 0)).toEqual([{ link: fall, count: 100, amount: '100.00' }])
  } finally {
    await database.close()
  }
})
