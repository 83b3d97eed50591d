import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { beforeEach, describe, expect, test } from 'vitest'
import { firstPhone, linesOf, useReports } from '../../test/momt-world.ts'

const world = useReports()
const { clock, broadcast, change, complete, download, fillLog, order, read, run } = world
beforeEach(() => world.begin())

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
      clock.time = new Date(clock.time.getTime() + n * 1_000)
      await change(`update subscribers set state = 'unsubscribed' where list_id = $1 and phone > $2`, [
        world.list.id,
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
    clock.time = new Date(clock.time.getTime() + 3_601_000)
    expect((await download(report.s3_url)).statusCode).toBe(404)
    expect((await download((await read(report.id)).s3_url)).statusCode).toBe(200)
  })
})
