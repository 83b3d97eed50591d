import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { linesOf, useReports } from '../../test/momt-world.ts'
import { readWithArrow } from '../../test/parquet.ts'
import { type S3Request, startS3 } from '../../test/s3-server.ts'
import { Secret } from '../config/secret.ts'
import type { Db } from '../db/db.ts'
import { takeTurn } from '../jobs/turns.ts'
import { deleteReportFilesJob, reportsQueue } from './momt-reports.jobs.ts'

// Reports whose files are in a bucket; parts are of 6 kB, so that a file of 40 kB has some.

const s3 = await startS3({ minPartBytes: 6_000 })
afterAll(() => s3.close())
const world = useReports({ s3: s3.location })
const { api, change, complete, download, fillLog, order, read, run } = world
beforeEach(async () => {
  s3.clear()
  await world.begin()
})

const isAppend = ({ method, key }: S3Request) => method === 'PUT' && key !== ''
/** Lets reports run at once that wait after a failed turn. */
const hurry = () =>
  change('update momt_reports set due_at = created_at, failures = 0 where import_completed_at is null')

const expectOneFile = () => {
  expect(Object.keys(s3.objects())).toEqual([expect.stringMatching(/^carillon\/momt_reports\/\d+\/\d+\/file-/)])
  expect(s3.uploads.size).toBe(0)
}

test('a report is one object, has each row once, and is returned by a link of ours', async () => {
  await fillLog()
  const { report, text } = await complete()
  expect(linesOf(text)).toHaveLength(133)
  expect(new Set(linesOf(text).map(({ direction, momt_id }) => `${direction} ${momt_id}`)).size).toBe(133)
  expectOneFile()
  expect(s3.requests.filter(({ query }) => query.has('partNumber')).length).toBeGreaterThan(3)
  expect(report.s3_url).toMatch(new RegExp(`^${api.rt.config.http.publicUrl}/files/`))
  const { statusCode, headers, rawPayload } = await download(report.s3_url, { range: 'bytes=5990-6009' })
  expect([statusCode, headers['content-range']]).toEqual([206, `bytes 5990-6009/${Buffer.byteLength(text)}`])
  expect(rawPayload.equals(Buffer.from(text).subarray(5_990, 6_010))).toBe(true)
  const foreign = report.s3_url.replace(`/${report.id}/`, `/${report.id + 1}/`)
  expect((await download(foreign)).statusCode).toBe(404)
})

test('the file is the same whatever the size of its slices', async () => {
  await fillLog()
  const texts: string[] = []
  for (const rows of [4, 15, 1_000]) {
    const { id } = await order({ is_csv: true })
    await run(rows)
    texts.push((await download((await read(id)).s3_url)).body)
  }
  expect(new Set(texts).size).toBe(1)
})

test.each([
  ['JSON lines', {}, (file: Buffer) => file.toString()],
  ['Parquet', { is_parquet: true }, (file: Buffer) => readWithArrow(file).rows],
] as const)(
  '%s of a worker that dies before any statement or in any request are those of one that does not',
  async (_, format, contentOf) => {
    await fillLog()
    const whole = contentOf((await download((await complete(format)).report.s3_url)).rawPayload)
    for (const dies of ['statements', 'requests'] as const) {
      s3.clear()
      const { id } = await order(format)
      let deaths = 0
      for (let survived = 1; (await read(id)).import_completed_at === null; survived += 4) {
        let remaining = survived
        const mortal = (db: Db): Db => ({
          ...db,
          exec: (...call) =>
            dies === 'statements' && remaining-- === 0 ? Promise.reject(new Error('killed')) : db.exec(...call),
          one: (...call) =>
            dies === 'statements' && remaining-- === 0 ? Promise.reject(new Error('killed')) : db.one(...call),
          tx: (work) =>
            db.tx(async (tx) => {
              const result = await work(mortal(tx))
              // after a request that was served, and before the commit
              if (dies === 'requests' && remaining <= 0) throw new Error('killed')
              return result
            }),
        })
        s3.fault = (req) => {
          if (isAppend(req) || req.method === 'POST') remaining--
          return undefined
        }
        await run(11, mortal(api.db)).catch(() => {})
        await hurry()
        deaths++
      }
      s3.fault = () => undefined
      expect(deaths, dies).toBeGreaterThan(3)
      expect(contentOf((await download((await read(id)).s3_url)).rawPayload)).toEqual(whole)
      expectOneFile()
    }
  },
)

describe('a bucket', () => {
  test('that is full ends the report with the reason, and without objects or uploads', async () => {
    await fillLog()
    const { id } = await order()
    let puts = 0
    s3.fault = (req) => (isAppend(req) && ++puts > 8 ? { status: 507, code: 'XMinioStorageFull' } : undefined)
    await run(11)
    expect(await read(id)).toMatchObject({
      run_errors: 'the file store is full (XMinioStorageFull)',
      ...{ s3_url: null, counts_calculated: false, import_completed_at: expect.any(String) },
    })
    expect(puts).toBe(9)
    expect(s3.objects()).toEqual({})
    expect(s3.uploads.size).toBe(0)
  })

  test('that is unavailable for some time delays a report', async () => {
    await fillLog()
    const { text } = await complete()
    const { id } = await order()
    let puts = 0
    s3.fault = (req) => (isAppend(req) && ++puts > 4 ? { status: 503, code: 'SlowDown' } : undefined)
    await run(11)
    expect(await read(id)).toMatchObject({ import_completed_at: null, run_errors: null })
    s3.fault = () => undefined
    await hurry()
    await run(11)
    expect((await download((await read(id)).s3_url)).body).toBe(text)
  })

  test('that rejects the key ends reports with the reason; their files are deleted when it accepts one', async () => {
    await fillLog()
    const { id } = await order()
    for (let n = 0; n < 8; n++)
      await takeTurn(api.rt, { ...reportsQueue, maxRows: 11 }, { lastAccount: 0, stopwatch: slow })
    expect(Object.keys(s3.objects()).length).toBeGreaterThan(0)
    const config = { ...api.rt.config, s3: { ...s3.location, secret: new Secret('another') } }
    await takeTurn({ ...api.rt, config }, reportsQueue, { lastAccount: 0 })
    const message = 'the file store rejected the key (SignatureDoesNotMatch)'
    expect(await read(id)).toMatchObject({ run_errors: message, s3_url: null, import_completed_at: expect.any(String) })
    await deleteReportFilesJob.run(api.rt, {}, new AbortController().signal)
    expect(s3.objects()).toEqual({})
    expect(s3.uploads.size).toBe(0)
    expect(await read(id)).toMatchObject({ run_errors: message })
  })

  test('that fails during a download is a 503, and an object that is gone a 404', async () => {
    await fillLog()
    const { report } = await complete()
    s3.fault = () => ({ status: 403, code: 'AccessDenied' })
    expect((await download(report.s3_url)).statusCode).toBe(503)
    s3.clear()
    expect((await download(report.s3_url)).statusCode).toBe(404)
  })
})

let ticks = 0
const slow = () => (ticks += 100)
