import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'
import { expandOnce } from '../src/broadcasts/expand.ts'
import type { Config } from '../src/config/config.ts'
import type { Db } from '../src/db/db.ts'
import { type Rotation, takeTurn } from '../src/jobs/turns.ts'
import { acceptBroadcast, sendToNumbers } from '../src/messages/messages.ts'
import { reportsQueue } from '../src/reports/momt-reports.jobs.ts'
import { latestTextMs } from '../src/reports/momt-reports.ts'
import { useApi } from './api.ts'
import { make } from './make.ts'
import { makeRuntime } from './runtime.ts'

export const firstPhone = 2_065_550_100

export type ReportRow = Record<string, string | number | null>
export type ShownReport = { id: number; s3_url: string } & Record<string, unknown>

/** The rows of a file of JSON lines. */
export const linesOf = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as ReportRow)

/** The API with a clock that is moved by hand, a log with texts in both directions, and the worker's runs of reports. */
export function useReports(settings: Partial<Config> = {}) {
  const clock = { time: new Date(0), now: () => clock.time }
  // ids begin again with each test, so files of other tests would have the same names
  const filesDir = mkdtempSync(join(tmpdir(), 'carillon-files-'))
  afterAll(() => rmSync(filesDir, { recursive: true }))
  const { config } = makeRuntime({ db: undefined as never })
  const api = useApi({ clock, config: { ...config, filesDir, ...settings } })
  let statements = 0

  const world = {
    api,
    clock,
    list: { id: 0, shortCodeId: 0 },
    period: { date_from: '2031-03-01T00:00:00Z', date_to: '2031-03-04T00:00:00Z' },

    /** Makes the list `=Pantry` with sixty subscribers. */
    async begin() {
      rmSync(join(filesDir, 'momt_reports'), { recursive: true, force: true })
      clock.time = new Date('2031-03-02T18:00:00Z')
      const { accountId, shortCode } = api.owner
      const { id } = await make.list(api.db, { accountId, shortCodeId: shortCode.id, name: '=Pantry' })
      world.list = { id, shortCodeId: shortCode.id }
      for (let n = 0; n < 60; n++) await make.subscriber(api.db, { listId: id, phone: firstPhone + n })
    },

    change: (sql: string, values: unknown[] = []) => api.db.exec(`change_${++statements}`, sql, values),

    async broadcast(content: string): Promise<number> {
      const { id } = await acceptBroadcast(api.rt, { accountId: api.owner.accountId, list: world.list, content })
      while (await expandOnce(api.rt)) {}
      return id
    },

    /** Orders a report, and moves the clock to the time at which it is due. */
    async order(filters: Record<string, unknown> = {}): Promise<ShownReport> {
      const { status, body } = await api.owner.post('/momt_reports', { ...world.period, ...filters })
      expect(status).toBe(200)
      clock.time = new Date(clock.time.getTime() + latestTextMs)
      return body.momt_report as ShownReport
    },

    async read(id: number): Promise<ShownReport> {
      return (await api.owner.get(`/momt_reports/${id}`)).body.momt_report as ShownReport
    },

    /** Runs reports, with slices of up to this number of rows, until none is due. */
    async run(rows = 7, db: Db = api.db) {
      const rotation: Rotation = { lastAccount: 0 }
      while (await takeTurn({ ...api.rt, db }, { ...reportsQueue, maxRows: rows }, rotation)) {}
    },

    async download(url: string, headers: Record<string, string> = {}) {
      const { pathname, search } = new URL(url)
      return api.app.inject({ method: 'GET', url: pathname + search, headers })
    },

    /** Orders and runs a report without errors, and returns it with its file. */
    async complete(filters: Record<string, unknown> = {}): Promise<{ report: ShownReport; text: string }> {
      const { id } = await world.order(filters)
      await world.run()
      const report = await world.read(id)
      // what is shown if a turn failed or the report still waits
      const run = await api.db.one<object>('run', 'select stage, failures from momt_reports where id = $1', [id])
      const complete = { counts_calculated: true, run_errors: null, percent_complete: 100, stage: 'file', failures: 0 }
      expect({ ...report, ...run }).toMatchObject(complete)
      expect(report.total_rows).toBe((report.mo_count as number) + (report.mt_count as number))
      return { report, text: (await world.download(report.s3_url)).body }
    },

    /** Writes 121 texts in all states, 12 texts from phones, and one of another account. */
    async fillLog() {
      const { accountId, shortCode } = api.owner
      const first = await world.broadcast('The pantry opens at nine.')
      clock.time = new Date('2031-03-03T07:30:00Z')
      const second = await world.broadcast('=cmd()')
      const setState = (name: string, from: number, count: number) =>
        world.change(
          `update message_log set state = $3::message_state, submitted_at = $4
            where message_id = $1 and phone between $2 and $2 + $5 - 1`,
          [first, firstPhone + from, name, clock.time, count],
        )
      await setState('delivered', 0, 20)
      await setState('bounced', 20, 10)
      await setState('unknown', 30, 5)
      await setState('suppressed', 35, 5)
      await setState('expired', 40, 3)
      await setState('cancelled', 43, 2)
      await setState('sent', 45, 2)
      await setState('submitting', 47, 1)
      const { shortCodeId } = world.list
      const phones = [2_065_550_199]
      const content = 'Your code is 1234'
      await sendToNumbers(api.rt, { accountId, listId: null, shortCodeId, phones, content, field: 'number' })
      const connection = await make.connection(api.db)
      await world.change(
        `insert into inbound_messages (connection_id, short_code, phone, source_addr, content, raw, data_coding, received_at,
                                       kind, reply_message_id)
         select $1, $2, ${firstPhone} + n, '1206', 'Thanks ' || n, '', 0, $3::timestamptz + n * interval '1 second', 'other',
                case when n % 2 = 0 then $4::bigint end
           from generate_series(1, 12) n`,
        [connection.id, shortCode.code, clock.time, first],
      )
      clock.time = new Date(clock.time.getTime() + 12_000)
      await world.change(
        `insert into inbound_messages (connection_id, short_code, phone, source_addr, content, raw, data_coding, received_at)
         values ($1, $2, 2065550100, '1206', 'of a stranger', '', 0, $3)`,
        [connection.id, api.stranger.shortCode.code, clock.time],
      )
      await world.change(
        `insert into number_look_ups (phone, kind, carrier_name, looked_up_at)
         select ${firstPhone} + n, 'mobile', case when n % 3 = 0 then 'Verizon' else 'AT&T' end, now()
           from generate_series(0, 59) n`,
      )
      return { first, second }
    },
  }
  return world
}
