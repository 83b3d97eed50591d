// Speed and memory of MOMT reports on a temporary PostgreSQL with the product's settings: a bare COPY of the same rows, then the
// report as CSV, as JSON lines, as CSV with gzip and as Parquet, and a report of one day of many. Prints a table, the goals and a line of JSON.

import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { to as copyTo } from 'pg-copy-streams'
import { type Rotation, takeTurn } from '../server/src/jobs/turns.ts'
import { reportsQueue } from '../server/src/reports/momt-reports.jobs.ts'
import { insertMomtReport } from '../server/src/reports/momt-reports.queries.ts'
import type { Runtime } from '../server/src/runtime.ts'
import { make } from '../server/test/make.ts'
import { Watch } from './lib/processes.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { withTemporaryRuntime } from './lib/temporary-runtime.ts'

const perMessage = 100_000
const firstDay = Date.parse('2031-03-01T00:00:00Z')
const dayMs = 86_400_000

type Stage = { stage: string; rows: number; seconds: number; ratio: number; peakMb: number }
type Order = { format: 'csv' | 'json' | 'parquet'; gzip?: boolean; days?: number }

/** Writes reports of `rows` texts on `days` days. */
export async function run(args: string[] = process.argv.slice(3)) {
  const options = { rows: { type: 'string', default: '10000000' }, days: { type: 'string', default: '4' } } as const
  const { values } = parseArgs({ args, options })
  const [rows, days] = [Number(values.rows), Number(values.days)]
  const machine = describeMachine()
  const clock = { now: () => new Date(firstDay + (days + 1) * dayMs) }
  return withTemporaryRuntime(
    async (rt) => {
      const stages = await measureAll(rt, rows, days)
      const goals = goalsOf(stages)
      printTable(`${rows.toLocaleString('en')} texts on ${days} days, load ${machine.loadBefore}`, stages)
      printTable('Goals', goals)
      console.log(JSON.stringify({ bench: 'momt', rows, days, machine, stages, goals }))
      return stages
    },
    { clock },
  )
}

/** Inserts broadcasts of 100,000 delivered texts, spread over the days, with the ranges of closed messages. */
async function fillLog(rt: Runtime, accountId: number, rows: number, days: number): Promise<void> {
  const { id: shortCodeId } = await make.shortCode(rt.db, { accountId })
  const list = await make.list(rt.db, { accountId, shortCodeId })
  const messages = Math.ceil(rows / perMessage)
  for (let n = 0; n < messages; n++) {
    const at = new Date(firstDay + Math.floor((n * days) / messages) * dayMs + 3_600_000 + n * 1_000)
    const day = at.toISOString().slice(0, 10)
    const count = Math.min(perMessage, rows - n * perMessage)
    const firstId = (n * 16 + 1) * 16_384
    await rt.db.exec('bench_day', 'select ensure_log_day($1::date)', [day])
    await rt.db.exec(
      'bench_fill',
      `with message as (
         insert into messages (account_id, list_id, short_code_id, kind, name, content, consent, part_count, status, logged_on,
                               created_at, accepted_at, expanded_at, sent_at, closed_at)
         values ($1, $2, $3, 'broadcast', 'Morning news', 'Cedar Valley Pantry: open today from 9 to 12, with fresh bread.',
                 'subscribed', 1, 'sent', $5, $4, $4, $4, $4, $4) returning id
       ), ranges as (
         insert into message_ranges select id, $7::bigint, $7::bigint + $6::bigint - 1 from message
       ), counters as (
         insert into message_counters (message_id, audience, delivered) select id, $6, $6 from message
       )
       insert into message_log (id, logged_on, message_id, phone, state, part_count, parts_delivered, submitted_at, closed_at,
                                carrier_status)
       select $7::bigint + n, $5, id, 2060000000 + n * 7, 'delivered', 1, 1, $4, $4, 'DELIVRD'
         from message, generate_series(0, $6::int - 1) n`,
      [accountId, list.id, shortCodeId, at, day, count, firstId],
    )
  }
  await rt.db.exec('bench_analyze', 'vacuum analyze')
}

async function measureAll(rt: Runtime, rows: number, days: number): Promise<Stage[]> {
  const { id: accountId } = await make.account(rt.db)
  await fillLog(rt, accountId, rows, days)
  const stages: Stage[] = []
  const measure = async (stage: string, work: () => Promise<number>) => {
    const watch = new Watch({ roots: [process.pid], nameOf: (pid) => (pid === process.pid ? 'node' : 'postgres') })
    watch.start()
    const startedAt = performance.now()
    const written = await work()
    const seconds = (performance.now() - startedAt) / 1_000
    const node = watch.usage().find(({ name }) => name === 'node')
    watch.stop()
    const bare = stages[0] && stages[0].rows === written ? seconds / stages[0].seconds : 1
    stages.push({
      stage,
      rows: written,
      seconds: round(seconds, 2),
      ratio: round(bare, 2),
      peakMb: Math.round(node?.peakMb ?? 0),
    })
  }
  await measure('bare COPY', () => copyAll(rt, days))
  await measure('CSV', () => report(rt, accountId, { format: 'csv', days }))
  await measure('JSON lines', () => report(rt, accountId, { format: 'json', days }))
  await measure('CSV, gzip', () => report(rt, accountId, { format: 'csv', gzip: true, days }))
  await measure('Parquet', () => report(rt, accountId, { format: 'parquet', days }))
  await measure('CSV of one day', () => report(rt, accountId, { format: 'csv', days: 1 }))
  return stages
}

/** Copies the rows of all days as they are. */
function copyAll(rt: Runtime, days: number): Promise<number> {
  return rt.db.withClient(async (client) => {
    let rows = 0
    for (let n = 0; n < days; n++) {
      const day = new Date(firstDay + n * dayMs).toISOString().slice(0, 10).replaceAll('-', '')
      const stream = client.query(copyTo(`copy message_log_${day} to stdout (format csv)`))
      await pipeline(stream, new Writable({ write: (_chunk, _encoding, done) => done() }))
      rows += stream.rowCount
    }
    return rows
  })
}

async function report(rt: Runtime, accountId: number, { format, gzip = false, days = 1 }: Order): Promise<number> {
  const dateTo = new Date(firstDay + days * dayMs - 1)
  const filters = {
    ...{
      direction: null,
      statuses: null,
      messageType: null,
      shortCode: null,
      listId: null,
      messageId: null,
      carrier: null,
      phone: null,
      reason: null,
      clicked: null,
      link: null,
    },
  }
  const order = { accountId, dateFrom: new Date(firstDay), dateFromOffset: 'Z', dateTo, dateToOffset: 'Z', filters }
  const now = rt.clock.now()
  const { id } = await insertMomtReport(rt.db, { ...order, format, gzip, webhookCallbackUrl: null }, now, now)
  const rotation: Rotation = { lastAccount: 0 }
  while (await takeTurn(rt, reportsQueue, rotation)) {}
  const { n } = await rt.db.one<{ n: number }>(
    'bench_written',
    'select mt_count + mo_count as n from momt_reports where id = $1 and counts_calculated',
    [id],
  )
  return n
}

function goalsOf(stages: Stage[]) {
  const of = (name: string) => stages.find(({ stage }) => stage === name)
  const memory = Math.max(...stages.map(({ peakMb }) => peakMb))
  return [
    { figure: 'CSV / bare COPY', value: of('CSV')?.ratio ?? 0, goal: 1.5 },
    { figure: 'JSON lines / bare COPY', value: of('JSON lines')?.ratio ?? 0, goal: 2 },
    { figure: 'private memory, MB', value: memory, goal: 300 },
  ].map((row) => ({ ...row, met: row.value <= row.goal ? 'yes' : 'NO' }))
}
