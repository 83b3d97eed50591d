// Response time of a late page of a large list, over HTTP with the whole product: during the list's import, after it, and
// during adds. `--dense` uses consecutive numbers, which are in a few ranges.

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Installation, startInstallation } from './lib/installation.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'

type Row = { moment: string; pages: number; p50: number; p95: number; p99: number; max: number; addsPerSecond: number }

const perPage = 10
const callsEach = 300

/** Imports `rows` numbers and reads pages near their end, during the import, after it and during adds. */
export async function run(args: string[] = process.argv.slice(3)) {
  const { values } = parseArgs({
    args,
    options: {
      rows: { type: 'string', default: '679571' },
      adds: { type: 'string', default: '500' },
      dense: { type: 'boolean', default: false },
    },
  })
  const rows = Number(values.rows)
  const numberOf = values.dense ? (n: number) => String(2_060_000_000 + n) : phoneNumber
  const machine = describeMachine()
  const installation = await startInstallation({ binds: 1, window: 100 })
  try {
    const { list } = await installation.call<{ list: { id: number } }>('POST', '/lists', { list: { name: 'Bench' } })
    const path = `/lists/${list.id}`
    const deepPage = Math.floor((rows * 0.986) / perPage)
    const imported = importRows(installation, path, rows, numberOf)
    const figures: Row[] = []
    figures.push(
      await readPages(installation, path, 'during the import', () => 1 + Math.floor(Math.random() * deepPage)),
    )
    await imported
    figures.push(await readPages(installation, path, `after the import, page ${deepPage}`, () => deepPage))
    figures.push(await readPages(installation, path, 'after the import, page 1', () => 1))
    const adds = { perSecond: Number(values.adds), numberOf: (n: number) => numberOf(rows + n) }
    figures.push(await readDuringAdds(installation, path, deepPage, adds))
    printTable(`Pages of ${perPage} in a list of ${rows.toLocaleString('en')}, ms; load ${machine.loadBefore}`, figures)
    console.log(JSON.stringify({ bench: 'pages', rows, dense: values.dense, machine, figures }))
    await installation.stop()
    return { rows, figures }
  } finally {
    installation.remove()
  }
}

type Page = { phone_numbers: string[] }

/** Reads at least `callsEach` pages, for at least `minMs`, and returns their response times in ms. */
export async function readPages(
  installation: Installation,
  path: string,
  moment: string,
  pageOf: () => number,
  minMs = 0,
): Promise<Row> {
  const times: number[] = []
  const from = performance.now()
  while (times.length < callsEach || performance.now() - from < minMs) {
    const before = performance.now()
    await installation.call<Page>('GET', `${path}/subscribers?page=${pageOf()}&per_page=${perPage}`)
    times.push(performance.now() - before)
    // one page at a time, with a pause for other requests
    await sleep(5)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0, 1)
  return { moment, pages: times.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1), addsPerSecond: 0 }
}

/** Reads a page while numbers are added to the list; the returned row contains the measured rate of the adds. */
export async function readDuringAdds(
  installation: Installation,
  path: string,
  page: number,
  { perSecond, numberOf }: { perSecond: number; numberOf: (n: number) => string },
): Promise<Row> {
  const stopping = new AbortController()
  let added = 0
  const from = performance.now()
  const adding = addUntilAborted(installation, path, perSecond, numberOf, stopping.signal, () => added++)
  await sleep(2_000)
  const row = await readPages(installation, path, `during adds, page ${page}`, () => page, 8_000)
  row.addsPerSecond = round((added * 1_000) / (performance.now() - from), 0)
  stopping.abort()
  await adding
  return row
}

/** Uploads an import and waits until it is done; throws if it fails. */
export async function importRows(
  installation: Installation,
  path: string,
  rows: number,
  numberOf: (n: number) => string,
) {
  const lines = ['phone_number']
  for (let n = 0; n < rows; n++) lines.push(numberOf(n))
  const response = await fetch(`${installation.url}/api/v2${path}/imports`, {
    method: 'POST',
    headers: { authorization: installation.authorization, 'content-type': 'text/csv' },
    body: lines.join('\n'),
  })
  const queued = (await response.json()) as { import: { id: number } }
  for (;;) {
    const shown = await installation.call<{ import: { status: string } }>('GET', `${path}/imports/${queued.import.id}`)
    if (shown.import.status === 'done') return
    if (shown.import.status === 'failed') throw new Error('the import failed')
    await sleep(50)
  }
}

/** Adds `perSecond` numbers per second, in a batch every 20 ms, until `signal` aborts. */
export async function addUntilAborted(
  installation: Installation,
  path: string,
  perSecond: number,
  numberOf: (n: number) => string,
  signal: AbortSignal,
  done: () => void,
) {
  const from = performance.now()
  const running = new Set<Promise<unknown>>()
  for (let n = 0; !signal.aborted; ) {
    const due = ((performance.now() - from) * perSecond) / 1_000
    for (; n < due && running.size < 100; n++) {
      const subscriber = {
        phone_number: numberOf(n),
        bypass_opt_in_process: true,
        bypass_opt_in_response: true,
      }
      const adding = installation.call('POST', `${path}/subscribers`, { subscriber }).then(done)
      running.add(adding)
      adding.finally(() => running.delete(adding)).catch(() => {})
    }
    await sleep(20)
  }
  await Promise.all(running)
}
