// How long a page deep inside a large list takes: while the list comes in, right after, and beside adds. The whole
// product, over HTTP. `--dense` takes numbers that follow one another, so that a few ranges hold them all.

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type House, startHouse } from './lib/house.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'

type Row = { when: string; pages: number; p50: number; p95: number; p99: number; max: number; addsPerSecond: number }

const perPage = 10
const callsEach = 300

/** Imports so many numbers and reads pages near the end of them, in each of these moments. */
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
  const house = await startHouse({ binds: 1, window: 100 })
  try {
    const { list } = await house.call<{ list: { id: number } }>('POST', '/lists', { list: { name: 'Bench' } })
    const path = `/lists/${list.id}`
    const deep = Math.floor((rows * 0.986) / perPage)
    const imported = importRows(house, path, rows, numberOf)
    const figures: Row[] = []
    figures.push(await readPages(house, path, 'while it is imported', () => 1 + Math.floor(Math.random() * deep)))
    await imported
    figures.push(await readPages(house, path, `right after, page ${deep}`, () => deep))
    figures.push(await readPages(house, path, 'then, the first page', () => 1))
    const stopping = new AbortController()
    let added = 0
    const from = performance.now()
    const adding = addForEver(
      house,
      path,
      Number(values.adds),
      (n) => numberOf(rows + n),
      stopping.signal,
      () => added++,
    )
    await sleep(2_000)
    const besideAdds = await readPages(house, path, `beside adds, page ${deep}`, () => deep, 8_000)
    besideAdds.addsPerSecond = round((added * 1_000) / (performance.now() - from), 0)
    figures.push(besideAdds)
    stopping.abort()
    await adding
    printTable(`Pages of ${perPage} in a list of ${rows.toLocaleString('en')}, ms; load ${machine.loadBefore}`, figures)
    console.log(JSON.stringify({ bench: 'pages', rows, dense: values.dense, machine, figures }))
    await house.stop()
    return { rows, figures }
  } finally {
    house.remove()
  }
}

type Page = { phone_numbers: string[] }

export async function readPages(
  house: House,
  path: string,
  when: string,
  pageOf: () => number,
  forMs = 0,
): Promise<Row> {
  const times: number[] = []
  const from = performance.now()
  while (times.length < callsEach || performance.now() - from < forMs) {
    const before = performance.now()
    await house.call<Page>('GET', `${path}/subscribers?page=${pageOf()}&per_page=${perPage}`)
    times.push(performance.now() - before)
    // a page at a time, and time for others between
    await sleep(5)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0, 1)
  return { when, pages: times.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1), addsPerSecond: 0 }
}

export async function importRows(house: House, path: string, rows: number, numberOf: (n: number) => string) {
  const lines = ['phone_number']
  for (let n = 0; n < rows; n++) lines.push(numberOf(n))
  const response = await fetch(`${house.url}/api/v2${path}/imports`, {
    method: 'POST',
    headers: { authorization: house.authorization, 'content-type': 'text/csv' },
    body: lines.join('\n'),
  })
  const queued = (await response.json()) as { import: { id: number } }
  for (;;) {
    const shown = await house.call<{ import: { status: string } }>('GET', `${path}/imports/${queued.import.id}`)
    if (shown.import.status === 'done') return
    if (shown.import.status === 'failed') throw new Error('the import failed')
    await sleep(50)
  }
}

/** Adds so many numbers a second, a batch each 20 ms, until it is told to stop. */
export async function addForEver(
  house: House,
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
      const adding = house.call('POST', `${path}/subscribers`, { subscriber }).then(done)
      running.add(adding)
      adding.finally(() => running.delete(adding)).catch(() => {})
    }
    await sleep(20)
  }
  await Promise.all(running)
}
