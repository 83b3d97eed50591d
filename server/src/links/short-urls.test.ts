import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { expandSlice } from '../broadcasts/expand.ts'
import { readEnv } from '../config/config.ts'
import { ClickDrain } from './drain.ts'
import { linkTokensOf } from './link-tokens.ts'

let now = new Date('2031-05-06T10:00:00Z')
const dataDir = mkdtempSync(join(tmpdir(), 'links-'))
const config = readEnv({
  CARILLON_RATE_LIMIT: 'off',
  CARILLON_SECRET_KEY: 'ca'.repeat(32),
  CARILLON_DATA_DIR: dataDir,
})
const api = useApi({ config, clock: { now: () => now } })
const ana = 2065550143
const ben = 2065550144
const browser = 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_2 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1'
const content = 'Hi {first_name}, see https://pantry.example/hours?week=9, or (https://pantry.example/map).'
let list: string

afterAll(() => rmSync(dataDir, { recursive: true }))

beforeEach(async () => {
  now = new Date('2031-05-06T10:00:00Z')
  const { accountId, shortCode } = api.owner
  const { id } = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
  await make.subscriber(api.db, { listId: id, phone: ana, firstName: 'Ana' })
  await make.subscriber(api.db, { listId: id, phone: ben, firstName: 'Ben' })
  list = `/lists/${id}`
})

async function send(message: object): Promise<number> {
  const response = await api.owner.post(`${list}/messages`, { message: { track_links: true, content, ...message } })
  expect(response, response.text).toMatchObject({ status: 200 })
  return (response.body.message as { id: number }).id
}

const texts = (id: number) =>
  api.db.many<{ phone: number; content: string; partCount: number }>(
    'texts',
    `select l.phone, coalesce(l.content, m.content) as content, l.part_count as "partCount"
       from message_log l join messages m on m.id = l.message_id where m.id = $1 order by l.phone`,
    [id],
  )

async function broadcast(message: object = {}) {
  const id = await send(message)
  await expandSlice(api.rt, id)
  return { id, texts: await texts(id) }
}

const urlsIn = (text: string | undefined) => text?.match(/http:\/\/127\.0\.0\.1:8080\/l\/[0-9A-Za-z]{18}/g) ?? []

/** Marks the texts as delivered a minute before. */
const deliver = (id: number) =>
  api.db.exec(
    'deliver',
    `update message_log set state = 'delivered', submitted_at = $2, closed_at = $2 where message_id = $1`,
    [id, new Date(now.getTime() - 60_000)],
  )

type Given = { method?: 'GET' | 'HEAD'; headers?: Record<string, string> }

/** Opens a short URL and stores the click. */
async function open(url = '', { method = 'GET', headers = {} }: Given = {}) {
  const { pathname, search } = new URL(url)
  const response = await api.app.inject({
    method,
    url: pathname + search,
    headers: { 'user-agent': browser, ...headers },
  })
  await new ClickDrain(api.rt, join(dataDir, 'clicks')).round()
  return response
}

const clicks = (id: number) =>
  api.db.many<{ phone: number; rule: string | null }>(
    'clicks',
    'select phone, rule from clicks where message_id = $1 order by id',
    [id],
  )

const counts = (id: number) =>
  api.db.many(
    'counts',
    `select click_count as total, unique_click_count as unique, human_click_count as human,
            unique_human_click_count as people from links where message_id = $1 order by position`,
    [id],
  )

describe('a broadcast that tracks its links', () => {
  test('has short URLs of its own in the text of each recipient', async () => {
    const { texts } = await broadcast()
    const urls = texts.flatMap((text) => urlsIn(text.content))
    expect(new Set(urls).size).toBe(4)
    expect(texts.map((text) => text.content)).toEqual([
      `Hi Ana, see ${urls[0]}, or (${urls[1]}).`,
      `Hi Ben, see ${urls[2]}, or (${urls[3]}).`,
    ])
    expect(texts.join()).not.toContain('2065550143')
  })

  test('leads each recipient to the links of the content', async () => {
    const { texts } = await broadcast()
    for (const { content } of texts) {
      const targets: unknown[] = []
      for (const url of urlsIn(content)) targets.push((await open(url)).headers.location)
      expect(targets).toEqual(['https://pantry.example/hours?week=9', 'https://pantry.example/map'])
    }
  })

  test('is measured with short URLs: in its parts, in its limit and in a flight plan', async () => {
    const long = `https://pantry.example/${'a'.repeat(400)}`
    const { id, texts } = await broadcast({ content: `${long} ${'b'.repeat(160 - 43)}` })
    expect(texts.map((text) => [text.content.length, text.partCount])).toEqual([
      [160, 1],
      [160, 1],
    ])
    expect((await api.owner.get(`${list}/messages/${id}`)).body.message).toMatchObject({ track_links: true })
    const tooLong = { message: { content: `https://a.example ${'b'.repeat(160 - 42)}`, track_links: true } }
    for (const path of [`${list}/messages`, `${list}/flight_plans`]) {
      expect(await api.owner.post(path, tooLong)).toMatchObject({ status: 422 })
      const fitting = { message: { content: `https://a.example ${'b'.repeat(160 - 43)}`, track_links: true } }
      expect((await api.owner.post(path, fitting)).status).toBeLessThan(300)
    }
  })

  test('tracks the same link once, and has no short URL without a link', async () => {
    const { id, texts } = await broadcast({ content: 'https://a.example https://a.example https://b.example' })
    const urls = urlsIn(texts[0]?.content)
    expect([urls.length, new Set(urls).size, (await counts(id)).length]).toEqual([3, 2, 2])
    expect((await broadcast({ content: 'No link: https:// and ftp://a.example' })).texts).toMatchObject([
      { content: 'No link: https:// and ftp://a.example' },
      { content: 'No link: https:// and ftp://a.example' },
    ])
  })

  test('cannot have a merge tag in a link', async () => {
    for (const content of ['See https://a.example/{first_name}', 'See https://{first_name}']) {
      const response = await api.owner.post(`${list}/messages`, { message: { content, track_links: true } })
      expect(response).toMatchObject({ status: 422, body: { details: { 'message.content': [expect.any(String)] } } })
      expect(await api.owner.post(`${list}/messages`, { message: { content } })).toMatchObject({ status: 200 })
    }
  })
})

test('a draft, its test and a text to numbers have short URLs', async () => {
  const id = await send({ draft: true })
  const test = await api.owner.post(`${list}/messages/${id}/test`, { phone_numbers: [String(ana)] })
  const [text] = await texts((test.body.message as { id: number }).id)
  expect((await open(urlsIn(text?.content)[1])).headers.location).toBe('https://pantry.example/map')
  await api.owner.put(`${list}/messages/${id}`, { message: { content: 'https://a.example' } })
  await api.owner.post(`${list}/messages/${id}/send`)
  await expandSlice(api.rt, id)
  const [sent] = await texts(id)
  expect((await open(urlsIn(sent?.content)[0])).headers.location).toBe('https://a.example/')
  const [single] = await texts(await send({ phone_numbers: [String(ben)] }))
  expect((await open(urlsIn(single?.content)[0])).headers.location).toBe('https://pantry.example/hours?week=9')
  await api.owner.put(`${list}/messages/${await send({ draft: true })}`, { message: { track_links: false } })
})

test('content without tracking is sent unchanged', async () => {
  const { texts } = await broadcast({ track_links: false, content: 'See https://pantry.example/map' })
  expect(texts[0]?.content).toBe('See https://pantry.example/map')
})

describe('a click', () => {
  test('is counted in total, by person and by human', async () => {
    const { id, texts } = await broadcast()
    await deliver(id)
    const [first = '', second = ''] = urlsIn(texts[0]?.content)
    const [other = ''] = urlsIn(texts[1]?.content)
    for (const url of [first, second, first, other]) {
      expect(await open(url)).toMatchObject({ statusCode: 302 })
      now = new Date(now.getTime() + 1_000)
    }
    await open(other, { method: 'HEAD' })
    expect(await counts(id)).toEqual([
      { total: 4, unique: 2, human: 3, people: 2 },
      { total: 1, unique: 1, human: 1, people: 1 },
    ])
  })

  test.each<[string, Given]>([
    ['head', { method: 'HEAD' }],
    ['prefetch', { headers: { 'sec-purpose': 'prefetch;prerender' } }],
    ['prefetch', { headers: { 'x-purpose': 'preview' } }],
    ['scanner', { headers: { 'user-agent': '' } }],
    ['scanner', { headers: { 'user-agent': 'Mozilla/5.0 (compatible; Googlebot/2.1)' } }],
    ['scanner', { headers: { 'user-agent': `${browser} facebookexternalhit/1.1 Facebot Twitterbot/1.0` } }],
  ])('is attributed to a machine by the rule %s', async (rule, given) => {
    const { id, texts } = await broadcast()
    await deliver(id)
    const response = await open(urlsIn(texts[0]?.content)[0], given)
    expect(response).toMatchObject({ statusCode: 302, headers: { location: 'https://pantry.example/hours?week=9' } })
    expect(await clicks(id)).toEqual([{ phone: ana, rule }])
    expect(await counts(id)).toMatchObject([{ total: 1, unique: 1, human: 0, people: 0 }, { total: 0 }])
  })

  test.each([
    ['queued', null, 'before_delivery'],
    ['sent', -1_999, 'before_delivery'],
    ['sent', -2_000, null],
    ['delivered', -100, null],
    ['bounced', -60_000, 'before_delivery'],
  ])('on a text that is %s (submitted %s ms before) has the rule %s', async (state, submitted, rule) => {
    const { id, texts } = await broadcast()
    const at = submitted === null ? null : new Date(now.getTime() + submitted)
    const set = 'update message_log set state = $2::message_state, submitted_at = $3 where message_id = $1'
    await api.db.exec('state', set, [id, state, at])
    await open(urlsIn(texts[0]?.content)[0])
    expect(await clicks(id)).toEqual([{ phone: ana, rule }])
  })

  test('is listed with its link, its recipient and its rule, latest first', async () => {
    const { id, texts } = await broadcast()
    await deliver(id)
    await open(urlsIn(texts[0]?.content)[1])
    await open(urlsIn(texts[1]?.content)[0], { method: 'HEAD' })
    const path = `${list}/messages/${id}/clicks`
    const common = { clicked_at: '2031-05-06T03:00:00-07:00' }
    const ofAna = { link: 'https://pantry.example/map', phone_number: '2065550143', human: true, rule: null }
    const ofBen = {
      link: 'https://pantry.example/hours?week=9',
      phone_number: '2065550144',
      human: false,
      rule: 'head',
    }
    expect((await api.owner.get(path)).body).toMatchObject({
      count: 2,
      clicks: [
        { ...common, ...ofBen },
        { ...common, ...ofAna },
      ],
    })
    expect((await api.owner.get(`${path}?phone_number=2065550143`)).body).toMatchObject({ count: 1, clicks: [ofAna] })
    expect(await api.owner.get(`${path}?phone_number=1`)).toMatchObject({ status: 422 })
    expect(await api.stranger.get(path)).toMatchObject({ status: 404 })
    const { tracking_links } = (await api.owner.get(`${list}/messages/${id}`)).body.message as Record<string, unknown>
    const link = { click_count: 1, unique_click_count: 1, human_click_count: 0, unique_human_click_count: 0 }
    expect(tracking_links).toEqual([
      { link: ofBen.link, ...link },
      { link: ofAna.link, ...link, human_click_count: 1, unique_human_click_count: 1 },
    ])
  })

  test('that follows another one of the recipient within a second is a burst', async () => {
    const { id, texts } = await broadcast()
    await deliver(id)
    const [first, second] = urlsIn(texts[0]?.content)
    for (const [url, ms] of [
      [first, 0],
      [second, 999],
      [first, 1_000],
      [urlsIn(texts[1]?.content)[0], 0],
    ] as const) {
      now = new Date(now.getTime() + ms)
      await open(url)
    }
    expect((await clicks(id)).map(({ rule }) => rule)).toEqual([null, 'burst', null, null])
  })

  test('has the first rule that applies: that of its request, before_delivery, burst', async () => {
    const { id, texts } = await broadcast()
    const [url] = urlsIn(texts[0]?.content)
    await open(url)
    await open(url)
    await open(url, { headers: { purpose: 'prefetch' } })
    await deliver(id)
    await open(url)
    await open(url, { headers: { 'user-agent': 'curl/8.5.0' } })
    expect((await clicks(id)).map(({ rule }) => rule)).toEqual([
      'before_delivery',
      'before_delivery',
      'prefetch',
      'burst',
      'scanner',
    ])
  })

  test('does not tell the target the short URL, and leads to the target only', async () => {
    const { texts } = await broadcast({ content: 'https://pantry.example/a/../b?x=1&y=%20#top' })
    const [url] = urlsIn(texts[0]?.content)
    const { headers } = await open(`${url}?url=https://evil.example&to=https://evil.example`)
    expect(headers).toMatchObject({
      location: 'https://pantry.example/b?x=1&y=%20#top',
      'referrer-policy': 'no-referrer',
    })
  })
})

test('bit.ly links are message_links, with the clicks that we know', async () => {
  const content = 'https://bit.ly/3xYz or bit.ly/a-b, not rabbit.ly/x'
  const shown = async (id: number) => (await api.owner.get(`${list}/messages/${id}`)).body.message
  const untracked = await send({ content, track_links: false })
  const first = { id: untracked * 1_000 + 1, link: 'https://bit.ly/3xYz', count: 0, display_count: 0 }
  const second = { id: untracked * 1_000 + 2, link: 'https://bit.ly/a-b', count: 0, display_count: 0 }
  expect(await shown(untracked)).toMatchObject({ message_links: [first, second] })
  expect(await shown(untracked)).not.toHaveProperty('tracking_links')
  const { id, texts } = await broadcast({ content })
  await open(urlsIn(texts[0]?.content)[0])
  expect(await shown(id)).toMatchObject({
    message_links: [{ link: first.link, count: 1, display_count: 1 }, { count: 0 }],
    tracking_links: [{ link: first.link, click_count: 1, unique_click_count: 1 }],
  })
  expect(await shown(await send({ content: 'bitly.example', track_links: false }))).not.toHaveProperty('message_links')
})

describe('an unknown short URL', () => {
  test('is a 404, and has no target', async () => {
    const unknown = linkTokensOf(api.rt.config)?.write({ linkId: 4_000_000_000, phone: ana })
    for (const token of ['x', 'https:%2F%2Fevil.example', '%5Cevil.example', 'a'.repeat(18), unknown]) {
      const response = await api.app.inject({ method: 'GET', url: `/l/${token}?to=https://evil.example` })
      expect(response).toMatchObject({ statusCode: 404 })
      expect(response.headers.location).toBeUndefined()
    }
  })
})
