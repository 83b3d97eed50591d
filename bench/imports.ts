// Speed of an import by stage, on a temporary PostgreSQL with the product's settings for durability: reading and
// validating the file alone, the upload (read, validate, COPY), the slices, and a second import of the same file, which
// changes no rows. Prints a table and a line of JSON.

import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { readCsv } from '../server/src/imports/csv-reader.ts'
import { applyNextSlice, receiveImport } from '../server/src/imports/imports.ts'
import { StagedRows } from '../server/src/imports/staged-rows.ts'
import type { Runtime } from '../server/src/runtime.ts'
import { make } from '../server/test/make.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { withTemporaryRuntime } from './lib/temporary-runtime.ts'

type Stage = {
  stage: string
  seconds: number
  rowsPerSecond: number
  nodeCpuSeconds: number
  longestSliceMs: number | ''
  peakNodeMb: number
}

/** Imports `rows` rows twice and returns the time of each stage. */
export async function run(args: string[] = process.argv.slice(3)) {
  const { values } = parseArgs({ args, options: { rows: { type: 'string', default: '679571' } } })
  const rows = Number(values.rows)
  const machine = describeMachine()
  return withTemporaryRuntime(async (rt) => {
    const stages = await measureAll(rt, rows)
    printTable(`${rows.toLocaleString('en')} rows, load ${machine.loadBefore}`, stages)
    console.log(JSON.stringify({ bench: 'imports', rows, machine, stages }))
    return { rows, stages }
  })
}

async function measureAll(rt: Runtime, rows: number): Promise<Stage[]> {
  const list = await make.list(rt.db)
  const open = () => Readable.from(makeFile(rows), { objectMode: false })
  const stages: Stage[] = []

  const measure = async (stage: string, work: () => Promise<{ longestSliceMs?: number }>) => {
    let peak = 0
    const sample = () => {
      peak = Math.max(peak, process.memoryUsage.rss())
    }
    const timer = setInterval(sample, 20)
    const cpu = process.cpuUsage()
    const started = performance.now()
    const result = await work()
    const seconds = (performance.now() - started) / 1_000
    const { user, system } = process.cpuUsage(cpu)
    clearInterval(timer)
    sample()
    stages.push({
      stage,
      seconds: round(seconds, 2),
      rowsPerSecond: Math.round(rows / seconds),
      nodeCpuSeconds: round((user + system) / 1e6, 2),
      longestSliceMs: result.longestSliceMs ?? '',
      peakNodeMb: Math.round(peak / 1e6),
    })
  }

  await measure('generate the file', async () => {
    for await (const _chunk of open());
    return {}
  })
  await measure('read and validate', async () => {
    const staged = new StagedRows()
    const { stream } = readCsv(staged, { unknownColumns: 'reject' })
    await pipeline(open(), stream, new Writable({ objectMode: true, write: (_block, _encoding, done) => done() }))
    if (staged.total !== rows) throw new Error(`${staged.total} of ${rows} rows were read`)
    return {}
  })
  for (const name of ['first', 'again']) {
    let id = 0
    const upload = { ...list, listId: list.id, apiKeyId: null, source: null }
    await measure(`${name}: upload`, async () => {
      ;({ id } = await receiveImport(rt, { ...upload, format: 'csv', unknownColumns: 'reject', body: open() }))
      return {}
    })
    await measure(`${name}: apply`, async () => {
      let longest = 0
      for (let more = true; more; ) {
        const started = performance.now()
        more = await applyNextSlice(rt, id)
        longest = Math.max(longest, performance.now() - started)
      }
      return { longestSliceMs: Math.round(longest) }
    })
    const { added, unchanged } = await rt.db.one<{ added: number; unchanged: number }>(
      'bench_outcome',
      'select added, unchanged from imports where id = $1',
      [id],
    )
    const count = name === 'first' ? added : unchanged
    if (count !== rows) throw new Error(`${name}: added ${added}, unchanged ${unchanged} of ${rows}`)
  }
  return stages
}

const rowsPerBlock = 1_000

/** Generates a file with the usual columns. */
function* makeFile(rows: number): Generator<string> {
  yield 'phone_number,first_name,last_name,email,zip_code\n'
  for (let from = 0; from < rows; from += rowsPerBlock) {
    let block = ''
    for (let n = from; n < Math.min(rows, from + rowsPerBlock); n++) {
      block += `${phoneNumber(n)},Ada${n % 97},Lopez${n % 9_973},ada.${n}@cedar.example,${10_000 + (n % 89_999)}\n`
    }
    yield block
  }
}
