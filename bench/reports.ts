// Speed of sending beside reports of the message log: broadcasts to one list, in turns alone and while two accounts have
// reports of a large log written. Prints a table, the ratio of one run, and a line of JSON.

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { runCli } from '../server/src/cli/cli.ts'
import { type Installation, startInstallation } from './lib/installation.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { DatabaseWatch } from './lib/statements.ts'
import { makeList, sendToList } from './lib/texting.ts'

/** The day of the log, some days ago. */
const day = new Date(Date.now() - 3 * 86_400_000).toISOString().slice(0, 10)
/** Time limit for the first rows of the reports. */
const timeoutMs = 60_000
const perMessage = 100_000
const content = 'Doors open at seven tonight. Bring a friend and this text. Reply STOP to end'
/** Share of its speed that sending has at least beside reports. */
const goal = 0.9

type Account = { id: number; authorization: string; order: Record<string, unknown> }
type Round = { round: number; alone: number; beside: number; ratio: number; 'report rows/s': number }

/** Measures with these command-line arguments; sets exit code 1 if two reports slow sending by more than a tenth. */
export async function run(args: string[] = process.argv.slice(3)): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      recipients: { type: 'string', default: '200000' },
      rows: { type: 'string', default: '2000000' },
      rounds: { type: 'string', default: '3' },
      binds: { type: 'string', default: '4' },
      window: { type: 'string', default: '100' },
    },
  })
  const { recipients, rows, rounds, binds, window } = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, Number(value)]),
  ) as Record<keyof typeof values, number>
  const machine = describeMachine()
  const installation = await startInstallation({ binds, window, env: { CARILLON_RATE_LIMIT: 'off' } })
  const database = new DatabaseWatch(installation.databaseUrl)
  try {
    await database.start()
    const { listId } = await makeList(installation, recipients)
    const accounts = [
      await makeAccount(installation, 'first', rows / 2, { is_csv: true, gzip: true }),
      await makeAccount(installation, 'second', rows / 2, {}),
    ]
    const send = () => sendToList(installation, database, listId, { recipients, content })
    await send() // the first broadcast fills caches
    const results: Round[] = []
    for (let n = 1; n <= rounds; n++) {
      const alone = (await send()).messagesPerSecond
      const reports = startReports(installation, accounts)
      await reports.begun()
      const beside = (await send()).messagesPerSecond
      const rowsPerSecond = await reports.stop()
      results.push({ round: n, alone, beside, ratio: round(beside / alone, 2), 'report rows/s': rowsPerSecond })
    }
    const title = `Texts per second to ${recipients.toLocaleString('en')} recipients, alone and beside two reports`
    printTable(`${title}, load ${machine.loadBefore}`, results)
    const ratio = round(sum(results.map(({ beside }) => beside)) / sum(results.map(({ alone }) => alone)), 3)
    printTable('Goal', [{ figure: 'beside / alone', value: ratio, goal, met: ratio >= goal ? 'yes' : 'NO' }])
    console.log(`\n${JSON.stringify({ bench: 'reports', machine, recipients, rows, binds, window, results, ratio })}`)
    if (ratio < goal) process.exitCode = 1
    await database.stop()
    await installation.stop()
  } finally {
    installation.remove()
  }
}

/** Creates an account with closed broadcasts of `rows` delivered texts. */
async function makeAccount(
  { databaseUrl, dataDir }: Installation,
  name: string,
  rows: number,
  format: Record<string, unknown>,
): Promise<Account> {
  const args = ['account', 'create', '--email', `${name}@example.org`, '--json']
  const output = await runCli({ args, env: { DATABASE_URL: databaseUrl }, cwd: dataDir })
  const { account, api_key } = JSON.parse(output) as {
    account: { id: number; email: string }
    api_key: { key: string }
  }
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    // the role of the installation owns the tables, and the superuser connects
    await client.query('set role carillon_owner')
    await client.query('select ensure_log_day($1::date)', [day])
    for (let from = 0; from < rows; from += perMessage)
      await client.query(fillSql, [account.id, day, content, Math.min(perMessage, rows - from)])
    await client.query('vacuum analyze')
  } finally {
    await client.end()
  }
  const authorization = `Basic ${Buffer.from(`${account.email}:${api_key.key}`).toString('base64')}`
  return { id: account.id, authorization, order: { date_from: day, date_to: day, ...format } }
}

const fillSql = /* sql */ `
  with message as (
    insert into messages (account_id, short_code_id, kind, content, consent, part_count, status, logged_on, created_at, accepted_at,
                          expanded_at, sent_at, closed_at)
    select $1, s.id, 'broadcast', $3, 'subscribed', 1, 'sent', $2::date, at, at, at, at, at
      from short_codes s, (select ($2 || 'T09:00:00Z')::timestamptz as at) times order by s.id limit 1
    returning id
  ), blocks as (
    select min(n) * 16384 as first_id from (select nextval('message_log_blocks') as n from generate_series(0, $4::int / 16384)) b
  ), texts as (
    insert into message_log (id, logged_on, message_id, phone, state, part_count, parts_delivered, submitted_at, closed_at,
                             carrier_status)
    select first_id + n, $2::date, id, 2060000000 + n * 7, 'delivered', 1, 1, now(), now(), 'DELIVRD'
      from message, blocks, generate_series(0, $4::int - 1) n
    returning id, message_id
  ), counters as (
    insert into message_counters (message_id, audience, delivered) select id, $4::int, $4::int from message
  )
  insert into message_ranges select message_id, min(id), max(id) from texts group by message_id`

type ReportView = { momt_report: { id: number; processed_rows: number; counts_calculated: boolean } }

/** Orders a report for each account, and another one whenever one is complete, until it is stopped. */
function startReports(installation: Installation, accounts: Account[]) {
  const startedAt = performance.now()
  let stopped = false
  const written = accounts.map(() => 0)
  const call = async (account: Account, method: string, path: string, body?: object) => {
    const headers = { authorization: account.authorization, ...(body && { 'content-type': 'application/json' }) }
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
    const response = await fetch(`${installation.url}/api/v2${path}`, init)
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return ((await response.json()) as ReportView).momt_report
  }
  const runs = accounts.map(async (account, n) => {
    for (let before = 0; !stopped; before = written[n] ?? 0) {
      let report = await call(account, 'POST', '/momt_reports', account.order)
      while (!report.counts_calculated && !stopped) {
        await sleep(100)
        report = await call(account, 'GET', `/momt_reports/${report.id}`)
        written[n] = before + report.processed_rows
      }
      if (!report.counts_calculated) await call(account, 'POST', `/momt_reports/${report.id}/cancel`)
    }
  })
  return {
    /** Resolves when rows of each report are written. */
    async begun() {
      for (const deadline = Date.now() + timeoutMs; written.some((rows) => rows === 0); ) {
        if (Date.now() > deadline) throw new Error('no rows of the reports were written')
        await Promise.race([sleep(50), Promise.all(runs)])
      }
    },
    /** Ends the reports, and returns the rows that they wrote per second. */
    async stop() {
      const seconds = (performance.now() - startedAt) / 1_000
      const rows = sum(written)
      stopped = true
      await Promise.all(runs)
      return Math.round(rows / seconds)
    },
  }
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
