// How much one api process answers with a large list behind it: the whole product, over HTTP, with a client of little cost
// in a process of its own. Fastify's bare hello on the same machine tells what the figures are worth.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type House, startHouse } from './lib/house.ts'
import type { Load, LoadResult } from './lib/load.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { addForEver, importRows, readPages } from './pages.ts'

const scriptAt = (name: string) => fileURLToPath(new URL(`./lib/${name}`, import.meta.url))
const flags = '"bypass_opt_in_process":true,"bypass_opt_in_response":true'

type Row = { what: string; perSecond: number; p50: number; p95: number; p99: number; aim: string; met: string }

/** Imports so many numbers, asks for them, adds to them and leafs through them; each rate is the median of some runs. */
export async function run(args: string[] = process.argv.slice(3)) {
  const { values } = parseArgs({
    args,
    options: {
      rows: { type: 'string', default: '680000' },
      most: { type: 'string', default: '1000000' },
      seconds: { type: 'string', default: '5' },
      runs: { type: 'string', default: '3' },
      connections: { type: 'string', default: '32' },
    },
  })
  const [rows, most, seconds, runs] = [values.rows, values.most, values.seconds, values.runs].map(Number) as number[]
  const machine = describeMachine()
  const house = await startHouse({ binds: 1, window: 100 })
  try {
    const { list } = await house.call<{ list: { id: number } }>('POST', '/lists', { list: { name: 'Bench' } })
    const path = `/lists/${list.id}`
    const figures: Row[] = []
    // a number is used once: imports take from the start, adds from far behind
    let nextAdd = 10_000_000
    const load = async (given: Pick<Load, 'method' | 'path'> & Partial<Load>) => {
      const found: LoadResult[] = []
      for (let n = 0; n < (runs ?? 1); n++) {
        const phones = given.body === undefined ? { below: rows ?? 1 } : { from: nextAdd }
        nextAdd += 1_000_000
        found.push(
          await ask({
            port: Number(new URL(house.url).port),
            connections: Number(values.connections),
            seconds: seconds ?? 5,
            authorization: house.authorization,
            phones,
            ...given,
          }),
        )
      }
      found.sort((a, b) => a.perSecond - b.perSecond)
      const median = found[Math.floor(found.length / 2)] as LoadResult
      if (median.refused > 0) throw new Error(`${given.method} ${given.path}: ${median.refused} calls were refused`)
      return median
    }
    const note = (
      what: string,
      figure: Pick<Row, 'perSecond' | 'p50' | 'p95' | 'p99'>,
      aim: string,
      isMet: boolean | '',
    ) => {
      const { perSecond, p50, p95, p99 } = figure
      figures.push({ what, perSecond, p50, p95, p99, aim, met: isMet === '' ? '' : isMet ? 'yes' : 'NO' })
      console.log(`${what}: ${perSecond}/s, p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms`)
    }

    const hello = await askHello((port) => load({ method: 'GET', path: '/hello', port }))
    note("Fastify's bare hello", hello, '', '')

    await importRows(house, path, rows ?? 1, phoneNumber)
    const deep = Math.floor(((rows ?? 1) * 67) / 680)
    const after = await readPages(house, path, '', () => deep)
    note(`page ${deep} right after the import`, { ...after, perSecond: 0 }, 'p95 < 100 ms', after.p95 < 100)

    const beside = await besideAdds(house, path, deep, nextAdd)
    nextAdd += 1_000_000
    note(
      `page ${deep} beside ${beside.addsPerSecond} adds/s`,
      { ...beside, perSecond: 0 },
      'p95 < 100 ms',
      beside.p95 < 100,
    )

    const get = await load({ method: 'GET', path: `/api/v2${path}/subscribers/{phone}` })
    note('GET subscriber', get, '5,000/s', get.perSecond >= 5_000)

    const body = `{"subscriber":{"phone_number":"{phone}",${flags}}}`
    const post = await load({ method: 'POST', path: `/api/v2${path}/subscribers`, body })
    note('POST subscriber, both bypass flags', post, '1,500/s', post.perSecond >= 1_500)

    const more = Math.max(0, (most ?? 0) - (rows ?? 0))
    if (more > 0) await importRows(house, path, more, (n) => phoneNumber((rows ?? 0) + n))
    const lists = await load({ method: 'GET', path: '/api/v2/lists', connections: 1 })
    note(`GET /lists at ${(most ?? 0).toLocaleString('en')} subscribers`, lists, 'p95 < 5 ms', lists.p95 < 5)

    const ratios = { get: round(get.perSecond / hello.perSecond, 3), post: round(post.perSecond / hello.perSecond, 3) }
    printTable(`One api process, ${rows?.toLocaleString('en')} subscribers; load before ${machine.loadBefore}`, figures)
    console.log(`\nof the hello's rate: GET subscriber ${ratios.get}, POST subscriber ${ratios.post}`)
    console.log(JSON.stringify({ bench: 'api', rows, runs, seconds, machine, figures, ratios }))
    await house.stop()
    return { figures, ratios }
  } finally {
    house.remove()
  }
}

async function ask(load: Load): Promise<LoadResult> {
  const child = fork(scriptAt('load.ts'), [JSON.stringify(load)])
  const [result] = (await once(child, 'message')) as [LoadResult]
  return result
}

async function askHello<T>(work: (port: number) => Promise<T>): Promise<T> {
  const child: ChildProcess = fork(scriptAt('hello.ts'))
  try {
    const [port] = (await once(child, 'message')) as [number]
    return await work(port)
  } finally {
    child.disconnect()
  }
}

/** Reads the page while numbers are added to its list, 500 a second. */
async function besideAdds(house: House, path: string, page: number, firstAdd: number) {
  const stopping = new AbortController()
  let added = 0
  const from = performance.now()
  const adding = addForEver(
    house,
    path,
    500,
    (n) => phoneNumber(firstAdd + n),
    stopping.signal,
    () => added++,
  )
  await sleep(2_000)
  const figure = await readPages(house, path, '', () => page, 8_000)
  const addsPerSecond = Math.round((added * 1_000) / (performance.now() - from))
  stopping.abort()
  await adding
  return { ...figure, addsPerSecond }
}
