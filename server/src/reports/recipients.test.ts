import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { type Rotation, takeTurn } from '../jobs/turns.ts'
import { storeClicks } from '../links/clicks.ts'
import { type LinkId, listLinkIds } from '../links/links.queries.ts'
import { closeMessage } from '../log/close.queries.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
import { reportsQueue } from './momt-reports.jobs.ts'
import { latestTextMs } from './momt-reports.ts'
import { countRecipients, listRecipients } from './recipients.queries.ts'
import { getRecipientPage } from './recipients.ts'
import { compareCounters, countReceivedTexts } from './reconcile.queries.ts'

const day = '2031-03-02'
const now = new Date(`${day}T18:00:00Z`)
const firstPhone = 2_065_550_100

describe('the recipients of a message', () => {
  let time = now
  // ids begin again with each test, so files of other tests would have the same names
  const filesDir = mkdtempSync(join(tmpdir(), 'carillon-files-'))
  afterAll(() => rmSync(filesDir, { recursive: true }))
  const { config } = makeRuntime({ db: undefined as never })
  const api = useApi({ clock: { now: () => time }, config: { ...config, filesDir } })
  let list: { id: number; shortCodeId: number }
  let statements = 0
  const change = (sql: string, values: unknown[] = []) => api.db.exec(`change_recipients_${++statements}`, sql, values)

  beforeEach(async () => {
    time = now
    const { accountId, shortCode } = api.owner
    const { id } = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
    list = { id, shortCodeId: shortCode.id }
    for (let n = 0; n < 25; n++) await make.subscriber(api.db, { listId: id, phone: firstPhone + n })
  })

  async function broadcast(): Promise<number> {
    const { id } = await acceptBroadcast(api.rt, { accountId: api.owner.accountId, list, content: 'Soup' })
    while (await expandOnce(api.rt)) {}
    return id
  }

  /** Moves rows with their counters, as the log does. */
  async function move(messageId: number, from: number, count: number, state: string, reason: string | null = null) {
    await change(
      `update message_log set state = $3::message_state, reason = $4, submitted_at = $5, closed_at = $5
        where message_id = $1 and phone between $2 and $2 + $6 - 1`,
      [messageId, firstPhone + from, state, reason, now, count],
    )
    await change(
      `update message_counters set queued = queued - $2, ${state} = ${state} + $2 where message_id = $1 and counter_row = 0`,
      [messageId, count],
    )
  }

  const close = async (messageId: number) => {
    await change(`update messages set status = 'sent', sent_at = $2, received_through = 1e15 where id = $1`, [
      messageId,
      now,
    ])
    expect(await closeMessage(api.db, { messageId, loggedOn: day, requeuedAt: null }, now)).toBe(true)
  }

  type Found = { id: number; phone_number: string } & Record<string, unknown>
  const read = async (messageId: number, query = '') => {
    const { status, body } = await api.owner.get(`/lists/${list.id}/messages/${messageId}/recipients?${query}`)
    return { status, body, recipients: (body.recipients ?? []) as Found[] }
  }
  const phones = (recipients: Found[]) => recipients.map(({ phone_number }) => Number(phone_number) - firstPhone)

  test('are paged in the envelope of the contract, while the message is open and when it is closed', async () => {
    const id = await broadcast()
    await broadcast()
    for (const isClosed of [false, true]) {
      if (isClosed) await close(id)
      const first = await read(id)
      expect(first.body).toMatchObject({ status: 'OK', per_page: 10, page: 1, count: 25, pages_count: 3 })
      expect(phones(first.recipients)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      expect(phones((await read(id, 'page=3')).recipients)).toEqual([20, 21, 22, 23, 24])
      const past = await read(id, 'page=4')
      expect([past.status, past.recipients]).toEqual([200, []])
      const behind = await read(id, `after=${first.recipients[9]?.id}&per_page=4`)
      expect(phones(behind.recipients)).toEqual([10, 11, 12, 13])
      expect(behind.body).toMatchObject({ count: 25, pages_count: 7 })
    }
  })

  test('show the state, the reason and the carrier, and are selected by them', async () => {
    const id = await broadcast()
    await move(id, 0, 8, 'delivered')
    await move(id, 8, 3, 'bounced', 'hard')
    await move(id, 11, 2, 'suppressed', 'opted_out')
    await move(id, 13, 1, 'unknown')
    await change(`insert into number_look_ups (phone, kind, carrier_name, looked_up_at)
                  select ${firstPhone} + n, 'mobile', case when n % 2 = 0 then 'Verizon' else 'AT&T' end, now()
                    from generate_series(0, 23) n`)
    const [bounced] = (await read(id, 'state=bounced&per_page=1')).recipients
    expect(bounced).toEqual({
      id: expect.any(Number),
      phone_number: String(firstPhone + 8),
      state: 'bounced',
      status: 'bounced',
      reason: 'hard',
      carrier_status: null,
      carrier: 'Verizon',
      part_count: 1,
      click_count: 0,
      human_click_count: 0,
      submitted_at: '2031-03-02T10:00:00-08:00',
      closed_at: '2031-03-02T10:00:00-08:00',
    })
    const selected: [query: string, indexes: number[]][] = [
      ['state=delivered', [0, 1, 2, 3, 4, 5, 6, 7]],
      ['state=Delivered,%20unknown&per_page=20', [0, 1, 2, 3, 4, 5, 6, 7, 13]],
      ['status=pending&per_page=20', [14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]],
      ['status=pending&state=submitting', []],
      ['reason=hard', [8, 9, 10]],
      ['reason=hard&state=suppressed', []],
      ['reason=opted_out', [11, 12]],
      ['reason=%20Stopped', []],
      ['carrier=Verizon&state=delivered,bounced', [0, 2, 4, 6, 8, 10]],
      ['carrier=AT%26T&reason=hard', [9]],
      ['carrier=Sprint', []],
      ['state=cancelled', []],
    ]
    for (const [query, indexes] of selected) {
      const { body, recipients } = await read(id, query)
      expect([query, phones(recipients), body.count]).toEqual([query, indexes, indexes.length])
    }
    const page = await read(id, 'carrier=Verizon&per_page=3&page=2')
    expect(phones(page.recipients)).toEqual([6, 8, 10])
    expect(page.body).toMatchObject({ count: 12, pages_count: 4 })
  })

  test('are selected by their clicks on the message or on a link, in pages and in a file', async () => {
    const content = 'https://a.example https://b.example'
    const { id } = await acceptBroadcast(api.rt, {
      accountId: api.owner.accountId,
      list,
      content,
      linkBase: 'https://l.example',
    })
    const { id: other } = await acceptBroadcast(api.rt, {
      accountId: api.owner.accountId,
      list,
      content,
      linkBase: 'https://l.example',
    })
    while (await expandOnce(api.rt)) {}
    await move(id, 0, 3, 'delivered')
    const linksOf = (messageId: number) => listLinkIds(api.db, messageId)
    const [a, b] = (await linksOf(id)) as [LinkId, LinkId]
    const [elsewhere] = (await linksOf(other)) as [LinkId]
    // with the index of the recipient and the rule
    const clicks: [link: LinkId, index: number, rule: 'scanner' | null][] = [
      [a, 1, 'scanner'],
      [a, 2, null],
      [b, 2, null],
      [b, 3, 'scanner'],
      [b, 4, 'scanner'],
      [elsewhere, 5, null],
    ]
    await change(`update message_log set submitted_at = $1 where message_id = any($2::bigint[])`, [now, [id, other]])
    await storeClicks(
      api.db,
      clicks.map(([link, index, rule], n) => {
        const clickedAt = new Date(now.getTime() + (n + 3) * 60_000)
        return { linkId: link.id, phone: firstPhone + index, clickedAt, rule }
      }),
    )
    const without = (...indexes: number[]) =>
      Array.from({ length: 25 }, (_, n) => n).filter((n) => !indexes.includes(n))
    const link = (given: LinkId) => `link=${encodeURIComponent(given.link)}`
    const selected: [query: string, indexes: number[]][] = [
      ['clicked=human', [2]],
      ['clicked=any', [1, 2, 3, 4]],
      ['clicked=not_human', without(2)],
      ['clicked=None', without(1, 2, 3, 4)],
      [`clicked=any&${link(a)}`, [1, 2]],
      [`clicked=human&${link(b)}`, [2]],
      [`clicked=none&${link(b)}`, without(2, 3, 4)],
      [`clicked=not_human&${link(a)}`, without(2)],
      ['clicked=any&state=delivered', [1, 2]],
      ['clicked=none&state=delivered', [0]],
      ['clicked=any&reason=hard', []],
      ['clicked=none&reason=hard', []],
    ]
    for (const [query, indexes] of selected) {
      const { body, recipients } = await read(id, `${query}&per_page=100`)
      expect([query, phones(recipients), body.count]).toEqual([query, indexes, indexes.length])
      const after = recipients[1]?.id ?? 0
      expect(phones((await read(id, `${query}&per_page=100&after=${after}`)).recipients)).toEqual(
        after === 0 ? indexes : indexes.slice(2),
      )
      const { state, reason, ...filters } = Object.fromEntries(new URLSearchParams(query)) as Record<string, string>
      const ordered = await api.owner.post('/momt_reports', {
        ...{ date_from: `${day}T00:00:00Z`, date_to: `${day}T23:59:59Z`, message_id: id, reason, ...filters },
        ...(state === undefined ? {} : { status_array: [state] }),
      })
      const report = ordered.body.momt_report as { id: number }
      expect(ordered.status, ordered.text).toBe(200)
      time = new Date(time.getTime() + latestTextMs)
      const rotation: Rotation = { lastAccount: 0 }
      while (await takeTurn(api.rt, reportsQueue, rotation)) {}
      expect([query, (await api.owner.get(`/momt_reports/${report.id}`)).body]).toMatchObject([
        query,
        {
          momt_report: {
            total_rows: indexes.length,
            mt_count: indexes.length,
            percent_complete: 100,
            clicked: filters.clicked?.toLowerCase(),
          },
        },
      ])
    }
    expect((await read(id, 'clicked=human')).recipients).toMatchObject([{ click_count: 2, human_click_count: 2 }])
    expect((await read(id, 'clicked=any')).recipients[0]).toMatchObject({ click_count: 1, human_click_count: 0 })
    const faulty = [
      { clicked: 'any' },
      { message_id: id, link: a.link },
      { message_id: id, clicked: 'any', link: 'https://c.example' },
    ]
    for (const filters of faulty) {
      const period = { date_from: `${day}T00:00:00Z`, date_to: `${day}T23:59:59Z` }
      expect([filters, (await api.owner.post('/momt_reports', { ...period, ...filters })).status]).toEqual([
        filters,
        422,
      ])
    }
  })

  test('of a message to one number are found by the number once it is closed, of one to several by their ids', async () => {
    const send = (numbers: number[]) =>
      sendToNumbers(api.rt, {
        ...{ accountId: api.owner.accountId, listId: list.id, shortCodeId: list.shortCodeId },
        ...{ phones: numbers, content: 'Soup', field: 'number' },
      })
    const { id: one } = await send([firstPhone])
    const { id: two } = await send([firstPhone + 2, firstPhone + 1])
    expect(phones((await read(one)).recipients)).toEqual([0])
    for (const id of [one, two]) await close(id)
    expect(phones((await read(one)).recipients)).toEqual([0])
    expect(phones((await read(two)).recipients)).toEqual([2, 1])
  })

  test('are none before the message starts, and no longer readable when the log of the day is dropped', async () => {
    const draft = await api.owner.post(`/lists/${list.id}/messages`, { message: { content: 'Soup', draft: true } })
    const { status, body } = await read((draft.body.message as { id: number }).id)
    expect([status, body.count, body.pages_count]).toEqual([200, 0, 0])
    const id = await broadcast()
    await change('drop table message_log_20310302')
    const dropped = await read(id)
    expect([dropped.status, dropped.body.code, dropped.body.error]).toEqual([
      410,
      'log_not_kept',
      'The message log of 2031-03-02 is no longer kept',
    ])
    // also if the counters know that none matches
    expect((await read(id, 'state=cancelled')).status).toBe(410)
  })

  test('are not those of another list or account, and unknown words are rejected', async () => {
    const id = await broadcast()
    const other = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: list.shortCodeId })
    expect((await api.owner.get(`/lists/${other.id}/messages/${id}/recipients`)).body.code).toBe('message_not_found')
    expect((await api.stranger.get(`/lists/${list.id}/messages/${id}/recipients`)).body.code).toBe('list_not_found')
    const queries = [
      'state=gone',
      'status=received',
      'reason=never',
      'reason=hard,soft',
      'state=sent,gone&status=x',
      'clicked=often',
      'link=https://a.example',
    ]
    for (const query of [...queries, 'clicked=any&link=https://other.example']) {
      const { status, body } = await read(id, query)
      expect([query, status, body.code]).toEqual([query, 422, 'invalid'])
    }
  })
})

describe('with many recipients', () => {
  let database: TestDatabase
  let message: { id: number; listId: number; accountId: number }
  const all = { states: null, reason: null, carrier: null, clicked: null, linkId: null }
  const broadcast = { loggedOn: day, through: 1e15, closedAt: null, audience: 30_000 }
  beforeAll(async () => {
    database = await freshDatabase()
    const { db } = database
    const list = await make.list(db)
    const rt = { ...makeRuntime({ db }), clock: { now: () => now } }
    await db.exec(
      'fill_list',
      `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
       select $1, 2065500000 + n, now(), 'subscribed', '2030-01-01', '2030-01-01' from generate_series(1, 30000) n`,
      [list.id],
    )
    // two messages whose blocks of ids alternate
    const input = { accountId: list.accountId, list, content: 'Soup' }
    const { id } = await acceptBroadcast(rt, input)
    await acceptBroadcast(rt, input)
    while (await expandOnce(rt)) {}
    message = { id, listId: list.id, accountId: list.accountId }
  })
  afterAll(() => database.close())

  test('a page reads a window of ids, and the rows before it, but not those of other messages', async () => {
    const logged = { id: message.id, loggedOn: day }
    const list = (page: { offset: number; perPage: number; after: number }) =>
      explain(database, (db) => listRecipients(db, logged, all, page))
    const first = await list({ offset: 0, perPage: 10, after: 0 })
    expect(first.rows).toBe(10)
    expect(first.compared).toBeLessThan(10_000)
    expect((await list({ offset: 28_000, perPage: 10, after: 0 })).compared).toBeGreaterThan(28_000)
  })

  test.each<[name: string, most: number, read: (db: Db) => Promise<unknown>]>([
    // `explain` records statements of `many`
    ['a count', 31_000, (db) => countRecipients({ ...db, one: db.many } as Db, { id: message.id, loggedOn: day }, all)],
    ['a comparison of counters', 61_000, (db) => compareCounters(db, day, [message.id])],
    ['a count of received texts', 31_000, (db) => countReceivedTexts(db, { ...broadcast, id: message.id })],
  ])('%s reads the rows of its message only: fewer than %i', async (_, most, read) => {
    const { compared } = await explain(database, read)
    expect(compared).toBeGreaterThanOrEqual(30_000)
    expect(compared).toBeLessThan(most)
  })

  test('each is on exactly one page, by pages and by ids', async () => {
    const request = {
      accountId: message.accountId,
      listId: message.listId,
      messageId: message.id,
      filter: { ...all, link: null },
    }
    const read = async (page: number, after: number) => {
      const { records } = await getRecipientPage(database.db, {
        ...request,
        page: { page, perPage: 1_000, offset: (page - 1) * 1_000, after },
      })
      return records
    }
    const byPage: number[] = []
    for (let page = 1; page <= 31; page++) byPage.push(...(await read(page, 0)).map(({ phone }) => phone))
    const byId: number[] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const records = await read(1, after)
      byId.push(...records.map(({ phone }) => phone))
      after = records.at(-1)?.id
    }
    const expected = Array.from({ length: 30_000 }, (_, n) => 2_065_500_001 + n)
    expect(byPage).toEqual(expected)
    expect(byId).toEqual(expected)
  })
})
