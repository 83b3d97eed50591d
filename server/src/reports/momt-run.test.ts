import { beforeEach, describe, expect, test } from 'vitest'
import { linesOf, type ShownReport, useReports } from '../../test/momt-world.ts'
import { mortal } from '../../test/mortal-db.ts'
import { type Rotation, takeTurn } from '../jobs/turns.ts'
import { reportsQueue } from './momt-reports.jobs.ts'

// Reports of an account's log, compared with a recount of the log in plain SQL.

const world = useReports()
const { api, change, complete, download, fillLog, order, read, run } = world
beforeEach(() => world.begin())

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
    const { text } = await complete({ is_csv: true })
    const { id } = await order({ is_csv: true })
    let deaths = 0
    for (let survived = 0; (await read(id)).import_completed_at === null; survived++) {
      let remaining = survived
      await run(
        11,
        mortal(api.db, () => remaining-- === 0),
      ).catch(() => {})
      await change('update momt_reports set due_at = created_at, failures = 0 where import_completed_at is null')
      deaths++
    }
    expect(deaths).toBeGreaterThan(20)
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
    const seen: ShownReport[] = []
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
