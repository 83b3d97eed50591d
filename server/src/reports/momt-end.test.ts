import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { linesOf, type ShownReport, useReports } from '../../test/momt-world.ts'
import { numberEvents } from '../events/sequence.ts'
import { type Rotation, takeTurn } from '../jobs/turns.ts'
import { deleteReportFilesJob, reportsQueue } from './momt-reports.jobs.ts'

const world = useReports()
const { api, clock, change, complete, download, fillLog, order, read, run } = world
beforeEach(() => world.begin())

describe('the end of a report', () => {
  const payloads = async () => {
    await numberEvents(api.db, async () => {})
    const rows = await api.db.many<{ payload: string; url: string | null }>(
      'payloads',
      `select payload::text, callback_url as url from events where type = 'momt_report' order by position`,
    )
    return rows.map(({ payload, url }) => ({
      url,
      body: JSON.parse(payload) as { status: string; momt_report: ShownReport },
    }))
  }

  test('is called back with the report, and a link that works for a day', async () => {
    await fillLog()
    const url = 'https://crm.cedar.example/momt'
    const { id } = await order({ webhook_callback_url: url })
    await run()
    await order()
    await run()
    const called = await payloads()
    expect(called).toHaveLength(1)
    const report = await read(id)
    expect(called[0]).toEqual({ url, body: { status: 'OK', momt_report: { ...report, s3_url: expect.any(String) } } })
    expect(Object.keys(called[0]?.body.momt_report ?? {})).toEqual(Object.keys(report))
    clock.time = new Date(clock.time.getTime() + 86_300_000)
    expect((await download(called[0]?.body.momt_report.s3_url ?? '')).statusCode).toBe(200)
  })

  test('after too many failed turns has the reason and no file, and is called back too', async () => {
    await fillLog()
    const { id } = await order({ webhook_callback_url: 'https://crm.cedar.example/momt' })
    await run(1_000)
    const other = await order({ webhook_callback_url: 'https://crm.cedar.example/momt' })
    const failing = { ...reportsQueue, apply: () => Promise.reject(new Error('broken')) }
    for (let n = 0; n < 25; n++) {
      await takeTurn(api.rt, failing, { lastAccount: 0 })
      clock.time = new Date(clock.time.getTime() + 61_000)
    }
    const failed = await read(other.id)
    expect(failed).toMatchObject({
      run_errors: expect.stringContaining('given up'),
      s3_url: null,
      counts_calculated: false,
    })
    expect(failed.import_completed_at).not.toBeNull()
    const ids = (await payloads()).map(({ body }) => body.momt_report.id)
    expect(ids).toEqual([id, other.id])
  })

  test('names the days whose log is no longer kept, and the file has the rest', async () => {
    const { second } = await fillLog()
    await change('drop table message_log_20310302, submits_20310302')
    const { id } = await order()
    await run()
    const report = await read(id)
    expect(report).toMatchObject({ counts_calculated: true, percent_complete: 100, mt_count: 61, mo_count: 12 })
    expect(report.run_errors).toBe('the log of 2031-03-02 is no longer kept')
    const rows = linesOf((await download(report.s3_url)).body)
    expect(rows.filter(({ message_id }) => message_id === second)).toHaveLength(60)
  })

  test('of the files: they are deleted after some days, and those of cancelled reports at once', async () => {
    await fillLog()
    const { report } = await complete()
    const cancelled = await order()
    const rotation: Rotation = { lastAccount: 0, stopwatch: () => (ticks += 100) }
    let ticks = 0
    for (let n = 0; n < 12; n++) await takeTurn(api.rt, { ...reportsQueue, maxRows: 5 }, rotation)
    await api.owner.post(`/momt_reports/${cancelled.id}/cancel`)
    const forget = () => deleteReportFilesJob.run(api.rt, {}, new AbortController().signal)
    const folders = () => readdir(join(api.rt.config.filesDir, 'momt_reports', String(api.owner.accountId)))
    expect(await folders()).toContain(String(cancelled.id))
    await forget()
    expect(await folders()).toEqual([String(report.id)])
    clock.time = new Date(clock.time.getTime() + 30 * 86_400_000 + 1_000)
    await forget()
    expect(await folders()).toEqual([])
    expect(await read(report.id)).toMatchObject({ s3_url: null, counts_calculated: true })
  })
})
