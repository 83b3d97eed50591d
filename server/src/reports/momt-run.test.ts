import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { type Rotation, takeTurn } from '../jobs/turns.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
import { reportsQueue } from './momt-reports.jobs.ts'

// Reports of an account's log, compared with a recount of the log in plain SQL.

let now = new Date('2031-03-02T18:00:00Z')
const api = useApi({ clock: { now: () => now } })
const period = { date_from: '2031-03-01T00:00:00Z', date_to: '2031-03-04T00:00:00Z' }
const firstPhone = 2_065_550_100

type Row = Record<string, string | number | null>
type Report = { id: number; s3_url: string } & Record<string, unknown>
let list: { id: number; shortCodeId: number }

beforeEach(async () => {
  now = new Date('2031-03-02T18:00:00Z')
  const { accountId, shortCode } = api.owner
  const { id } = await make.list(api.db, { accountId, shortCodeId: shortCode.id, name: '=Pantry' })
  list = { id, shortCodeId: shortCode.id }
  for (let n = 0; n < 60; n++) await make.subscriber(api.db, { listId: id, phone: firstPhone + n })
})

async function broadcast(content: string): Promise<number> {
  const { id } = await acceptBroadcast(api.rt, { accountId: api.owner.accountId, list, content })
  while (await expandOnce(api.rt)) {}
  return id
}

let statements = 0
const change = (sql: string, values: unknown[] = []) => api.db.exec(`change_${++statements}`, sql, values)

const order = async (filters: Record<string, unknown> = {}): Promise<Report> => {
  const { status, body } = await api.owner.post('/momt_reports', { ...period, ...filters })
  expect(status).toBe(200)
  return body.momt_report as Report
}
const read = async (id: number) => (await api.owner.get(`/momt_reports/${id}`)).body.momt_report as Report

/** Runs reports, with slices of up to this number of rows, until none is due. */
async function run(rows = 7, db: Db = api.db) {
  const queue = { ...reportsQueue, maxRows: rows }
  const rotation: Rotation = { lastAccount: 0 }
  while (await takeTurn({ ...api.rt, db }, queue, rotation)) {}
}

async function download(url: string, headers: Record<string, string> = {}) {
  const { pathname, search } = new URL(url)
  return api.app.inject({ method: 'GET', url: pathname + search, headers })
}

const linesOf = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)

async function complete(filters: Record<string, unknown> = {}): Promise<{ report: Report; text: string }> {
  const { id } = await order(filters)
  await run()
  const report = await read(id)
  expect(report).toMatchObject({ counts_calculated: true, run_errors: null, percent_complete: 100 })
  expect(report.total_rows).toBe((report.mo_count as number) + (report.mt_count as number))
  return { report, text: (await download(report.s3_url)).body }
}

/** Writes texts in all states, in both directions, and of another account. */
async function fillLog() {
  const first = await broadcast('The pantry opens at nine.')
  now = new Date('2031-03-03T07:30:00Z')
  const second = await broadcast('=cmd()')
  const state = (name: string, from: number, count: number) =>
    change(
      `update message_log set state = $3::message_state, submitted_at = $4
        where message_id = $1 and phone between $2 and $2 + $5 - 1`,
      [first, firstPhone + from, name, now, count],
    )
  await state('delivered', 0, 20)
  await state('bounced', 20, 10)
  await state('unknown', 30, 5)
  await state('suppressed', 35, 5)
  const { accountId } = api.owner
  const { id: transactional } = await sendToNumbers(api.rt, {
    ...{ accountId, listId: null, shortCodeId: list.shortCodeId, content: 'Your code is 1234' },
    ...{ kind: 'transactional', phones: [2_065_550_199], field: 'number' },
  } as never)
  const connection = await make.connection(api.db)
  await change(
    `insert into inbound_messages (connection_id, short_code, phone, source_addr, content, raw, data_coding, received_at, kind,
                                   reply_message_id)
     select $1, $2, ${firstPhone} + n, '1206', 'Thanks ' || n, '', 0, $3::timestamptz + n * interval '1 second', 'other',
            case when n % 2 = 0 then $4::bigint end
       from generate_series(1, 12) n`,
    [connection.id, api.owner.shortCode.code, now, first],
  )
  await change(
    `insert into inbound_messages (connection_id, short_code, phone, source_addr, content, raw, data_coding, received_at)
     values ($1, $2, 2065550100, '1206', 'of a stranger', '', 0, $3)`,
    [connection.id, api.stranger.shortCode.code, now],
  )
  await change(`insert into number_look_ups (phone, kind, carrier_name, looked_up_at)
                select ${firstPhone} + n, 'mobile', case when n % 3 = 0 then 'Verizon' else 'AT&T' end, now()
                  from generate_series(0, 59) n`)
  return { first, second, transactional }
}

describe('a report', () => {
  test('has each text of the account once, in both directions, as a recount of the log does', async () => {
    await fillLog()
    const { report, text } = await complete()
    const rows = linesOf(text)
    expect(report).toMatchObject({ mt_count: 121, mo_count: 12, total_rows: 133, processed_rows: 133 })
    const recount = await api.db.many<{ id: string }>(
      'recount',
      `select 'mt' || l.id as id from message_log l join messages m on m.id = l.message_id where m.account_id = $1
        union all
       select 'mo' || i.id from inbound_messages i join short_codes s on s.code = i.short_code where s.account_id = $1`,
      [api.owner.accountId],
    )
    expect(rows.map(({ direction, momt_id }) => `${direction}${momt_id}`).sort()).toEqual(
      recount.map(({ id }) => id).sort(),
    )
    expect(rows.filter(({ status }) => status === 'delivered')).toHaveLength(20)
    expect(rows.find(({ status }) => status === 'bounced')).toMatchObject({
      direction: 'mt',
      time: '2031-03-02T10:00:00-08:00',
      submitted_at: '2031-03-02T23:30:00-08:00',
      campaign_name: '=Pantry',
      message_type: 'broadcast',
      content: 'The pantry opens at nine.',
      parts: 1,
    })
  })

  test('is the same whatever the size of its slices', async () => {
    await fillLog()
    const texts: string[] = []
    for (const rows of [1, 3, 1_000]) {
      const { id } = await order({ is_csv: true })
      await run(rows)
      texts.push((await download((await read(id)).s3_url)).body)
    }
    expect(new Set(texts).size).toBe(1)
    expect(texts[0]?.split('\n')[0]).toMatch(/^direction,momt_id,time,/)
  })

  test('of a worker that dies before any of its statements equals one that was not interrupted', async () => {
    await fillLog()
    const { text } = await complete()
    const { id } = await order()
    let deaths = 0
    for (let survived = 0; (await read(id)).import_completed_at === null; survived += 5) {
      let remaining = survived
      const mortal = (db: Db): Db => ({
        ...db,
        exec: (...call) => (remaining-- === 0 ? Promise.reject(new Error('killed')) : db.exec(...call)),
        one: (...call) => (remaining-- === 0 ? Promise.reject(new Error('killed')) : db.one(...call)),
        tx: (work) => db.tx((tx) => work(mortal(tx))),
      })
      await run(11, mortal(api.db)).catch(() => {})
      await change('update momt_reports set due_at = created_at, failures = 0 where import_completed_at is null')
      deaths++
    }
    expect(deaths).toBeGreaterThan(3)
    expect((await download((await read(id)).s3_url)).body).toBe(text)
  })

  test('finds the rows of a closed message by its ranges', async () => {
    const { first } = await fillLog()
    const { text } = await complete()
    await change(
      `with gone as (delete from send_chunks where message_id = $1 returning first_log_id, last_log_id)
       insert into message_ranges select $1, min(first_log_id), max(last_log_id) from gone`,
      [first],
    )
    expect((await complete()).text).toBe(text)
  })

  test('has progress that never decreases, and no link before its end', async () => {
    await fillLog()
    const { id } = await order()
    const seen: Report[] = []
    const rotation: Rotation = { lastAccount: 0, stopwatch: () => seen.length * 1_000 }
    let ms = 0
    const slow: Rotation = { ...rotation, stopwatch: () => (ms += 100) }
    while (await takeTurn(api.rt, { ...reportsQueue, maxRows: 9 }, slow)) seen.push(await read(id))
    const percents = seen.map(({ percent_complete }) => percent_complete as number)
    expect(percents).toEqual(percents.toSorted((a, b) => a - b))
    expect(percents.at(-1)).toBe(100)
    const running = seen.slice(0, -1)
    expect(running.length).toBeGreaterThan(5)
    for (const { s3_url, percent_complete, counts_calculated } of running) {
      expect([s3_url, counts_calculated]).toEqual([null, false])
      expect(percent_complete).toBeLessThan(100)
    }
    const started = running.filter(({ import_started_at }) => import_started_at !== null)
    for (const { total_rows } of started) expect(total_rows).toBe(133)
  })
})

describe('a filter', () => {
  test.each([
    [{ direction: 'MT' }, 121, 0],
    [{ direction: 'mo' }, 0, 12],
    [{ status_array: ['delivered', 'Bounced'] }, 30, 0],
    [{ status_array: ['received', 'suppressed'] }, 5, 12],
    [{ message_type: 'transactional' }, 1, 0],
    [{ carrier: 'Verizon' }, 40, 4],
    [{ phone_number: '(206) 555-0102' }, 2, 1],
    [{ phone_number: '206-555-0199' }, 1, 0],
  ])('%j selects %i texts to phones and %i from phones', async (filters, mt, mo) => {
    await fillLog()
    const { report, text } = await complete(filters)
    expect([report.mt_count, report.mo_count]).toEqual([mt, mo])
    expect(linesOf(text)).toHaveLength(mt + mo)
  })

  test('by list and short code selects their texts and the replies to these', async () => {
    const { first } = await fillLog()
    const { report } = await complete({ campaign: list.id })
    expect([report.mt_count, report.mo_count, report.campaign]).toEqual([120, 6, list.id])
    expect((await complete({ shortcode: api.owner.shortCode.code })).report.total_rows).toBe(133)
    expect((await complete({ shortcode: api.stranger.shortCode.code })).report.total_rows).toBe(0)
    expect(first).toBeGreaterThan(0)
  })

  test.each([
    [{ direction: 'up' }, 'direction'],
    [{ status_array: ['lost'] }, 'status_array'],
    [{ message_type: 'poem' }, 'message_type'],
    [{ phone_number: '123' }, 'phone_number'],
    [{ date_from: '2031-03-05T00:00:00Z', date_to: '2031-03-06T00:00:00Z' }, 'date_from'],
    [{ date_from: '2031-03-02T00:00:00Z', date_to: '2031-03-01T00:00:00Z' }, 'date_to'],
  ])('or a period that is invalid, %j, is a 422 and orders nothing', async (given, field) => {
    const response = await api.owner.post('/momt_reports', { ...period, ...given })
    expect(response).toMatchObject({ status: 422, body: { details: { [field]: [expect.any(String)] } } })
    expect((await api.owner.get('/momt_reports')).body.count).toBe(0)
  })

  test("by another account's list is a 404", async () => {
    const foreign = await make.list(api.db, {
      accountId: api.stranger.accountId,
      shortCodeId: api.stranger.shortCode.id,
    })
    expect((await api.owner.post('/momt_reports', { ...period, campaign: foreign.id })).status).toBe(404)
  })
})

describe('the file', () => {
  const difficult = [
    '=1',
    '-0.42',
    '+1 (206) 555-0100',
    'a "quoted" word',
    'two\r\nlines',
    '😀',
    ' =SUM(A1)',
    '＝1',
    '@A1',
    ',;\t',
    "'",
  ]

  test('of CSV returns difficult cells, those that a spreadsheet would run with an apostrophe', async () => {
    for (const [n, content] of difficult.entries()) {
      now = new Date(now.getTime() + n * 1_000)
      await change(`update subscribers set state = 'unsubscribed' where list_id = $1 and phone > $2`, [
        list.id,
        firstPhone,
      ])
      await broadcast(content)
    }
    const { text } = await complete({ is_csv: true })
    const rows = parse(text, { columns: true }) as { content: string; campaign_name: string }[]
    expect(rows.map(({ content }) => content)).toEqual(
      difficult.map((text) => (['=1', ' =SUM(A1)', '＝1', '@A1'].includes(text) ? `'${text}` : text)),
    )
    expect(rows[0]?.campaign_name).toBe("'=Pantry")
    const { text: json } = await complete()
    expect(linesOf(json).map(({ content }) => content)).toEqual(difficult)
  })

  test('is compressed on request, and unpacks to the same text', async () => {
    await fillLog()
    const { text } = await complete()
    const { id } = await order({ gzip: true })
    await run()
    const response = await download((await read(id)).s3_url)
    expect(response.headers).toMatchObject({ 'content-type': 'application/gzip', 'cache-control': 'no-store' })
    expect(gunzipSync(response.rawPayload).toString()).toBe(text)
  })

  test('is returned in ranges', async () => {
    await fillLog()
    const { report, text } = await complete()
    const bytes = Buffer.from(text)
    const pieces: Buffer[] = []
    for (let from = 0; from < bytes.length; from += 1_000) {
      const { statusCode, rawPayload, headers } = await download(report.s3_url, {
        range: `bytes=${from}-${from + 999}`,
      })
      expect(statusCode).toBe(206)
      expect(headers['content-range']).toBe(`bytes ${from}-${Math.min(from + 999, bytes.length - 1)}/${bytes.length}`)
      pieces.push(rawPayload)
    }
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true)
    const behind = await download(report.s3_url, { range: `bytes=${bytes.length}-` })
    expect([behind.statusCode, behind.headers['content-range']]).toEqual([416, `bytes */${bytes.length}`])
  })

  test('needs the signature of its own path, which expires', async () => {
    await fillLog()
    const { report } = await complete()
    const other = (await complete()).report
    const url = new URL(report.s3_url)
    const forged = [
      report.s3_url.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      report.s3_url.replace(/expires=\d+/, 'expires=99999999999'),
      report.s3_url.replaceAll(`/${report.id}/`, `/${other.id}/`),
      `${url.origin}${new URL(other.s3_url).pathname}${url.search}`,
      `${url.origin}${url.pathname}`,
      `${report.s3_url}&signature=x`,
    ]
    for (const each of forged) expect((await download(each)).statusCode, each).toBe(404)
    expect((await download(report.s3_url)).statusCode).toBe(200)
    now = new Date(now.getTime() + 3_601_000)
    expect((await download(report.s3_url)).statusCode).toBe(404)
    expect((await download((await read(report.id)).s3_url)).statusCode).toBe(200)
  })
})

test('a cancelled report does not run and has no file; a finished one cannot be cancelled', async () => {
  await fillLog()
  const { id } = await order()
  const cancel = (report: number) => api.owner.post(`/momt_reports/${report}/cancel`)
  expect((await cancel(id)).body.momt_report).toMatchObject({ cancelled: true })
  await run()
  expect(await read(id)).toMatchObject({ cancelled: true, s3_url: null, import_completed_at: null, processed_rows: 0 })
  expect((await cancel(id)).status).toBe(422)
  const { report } = await complete()
  expect((await cancel(report.id)).status).toBe(422)
  expect((await api.stranger.post(`/momt_reports/${report.id}/cancel`)).status).toBe(404)
})
