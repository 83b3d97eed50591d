// Requests per second of one api process with a large list: the whole product, over HTTP, with a low-overhead client in a
// separate process. Fastify's minimal route on the same machine is the reference for the figures.

import { parseArgs } from 'node:util'
import { startInstallation } from './lib/installation.ts'
import type { Load, LoadResult } from './lib/load.ts'
import { runLoad, withHello } from './lib/load-process.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { importRows, readDuringAdds, readPages } from './pages.ts'

const flags = '"bypass_opt_in_process":true,"bypass_opt_in_response":true'

type Row = { operation: string; perSecond: number; p50: number; p95: number; p99: number; goal: string; met: string }

/** Imports `rows` numbers, then reads, adds and lists subscribers; each rate is the median of `runs` runs. */
export async function run(args: string[] = process.argv.slice(3)) {
  const { values } = parseArgs({
    args,
    options: {
      rows: { type: 'string', default: '680000' },
      'max-rows': { type: 'string', default: '1000000' },
      seconds: { type: 'string', default: '5' },
      runs: { type: 'string', default: '3' },
      connections: { type: 'string', default: '32' },
    },
  })
  const [rows, maxRows, seconds, runs] = [values.rows, values['max-rows'], values.seconds, values.runs].map(
    Number,
  ) as number[]
  const machine = describeMachine()
  const installation = await startInstallation({ binds: 1, window: 100 })
  try {
    const { list } = await installation.call<{ list: { id: number } }>('POST', '/lists', { list: { name: 'Bench' } })
    const path = `/lists/${list.id}`
    const figures: Row[] = []
    // each number is used once: imports use the first numbers, adds start far after them
    let nextAdd = 10_000_000
    const load = async (options: Pick<Load, 'method' | 'path'> & Partial<Load>) => {
      const results: LoadResult[] = []
      for (let n = 0; n < (runs ?? 1); n++) {
        const phones = options.body === undefined ? { below: rows ?? 1 } : { from: nextAdd }
        nextAdd += 1_000_000
        results.push(
          await runLoad({
            port: Number(new URL(installation.url).port),
            connections: Number(values.connections),
            seconds: seconds ?? 5,
            authorization: installation.authorization,
            phones,
            ...options,
          }),
        )
      }
      results.sort((a, b) => a.perSecond - b.perSecond)
      const median = results[Math.floor(results.length / 2)] as LoadResult
      if (median.failed > 0) throw new Error(`${options.method} ${options.path}: ${median.failed} requests failed`)
      return median
    }
    const report = (
      operation: string,
      figure: Pick<Row, 'perSecond' | 'p50' | 'p95' | 'p99'>,
      goal: string,
      isMet: boolean | '',
    ) => {
      const { perSecond, p50, p95, p99 } = figure
      figures.push({ operation, perSecond, p50, p95, p99, goal, met: isMet === '' ? '' : isMet ? 'yes' : 'NO' })
      console.log(`${operation}: ${perSecond}/s, p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms`)
    }

    const hello = await withHello((port) => load({ method: 'GET', path: '/hello', port }))
    report("Fastify's minimal route", hello, '', '')

    await importRows(installation, path, rows ?? 1, phoneNumber)
    const deepPage = Math.floor(((rows ?? 1) * 67) / 680)
    const after = await readPages(installation, path, '', () => deepPage)
    report(`page ${deepPage} after the import`, { ...after, perSecond: 0 }, 'p95 < 100 ms', after.p95 < 100)

    const firstAdd = nextAdd
    nextAdd += 1_000_000
    const adds = { perSecond: 500, numberOf: (n: number) => phoneNumber(firstAdd + n) }
    const during = await readDuringAdds(installation, path, deepPage, adds)
    report(
      `page ${deepPage} during ${during.addsPerSecond} adds/s`,
      { ...during, perSecond: 0 },
      'p95 < 100 ms',
      during.p95 < 100,
    )

    const get = await load({ method: 'GET', path: `/api/v2${path}/subscribers/{phone}` })
    report('GET subscriber', get, '5,000/s', get.perSecond >= 5_000)

    const body = `{"subscriber":{"phone_number":"{phone}",${flags}}}`
    const post = await load({ method: 'POST', path: `/api/v2${path}/subscribers`, body })
    report('POST subscriber, both bypass flags', post, '1,500/s', post.perSecond >= 1_500)

    const additional = Math.max(0, (maxRows ?? 0) - (rows ?? 0))
    if (additional > 0) await importRows(installation, path, additional, (n) => phoneNumber((rows ?? 0) + n))
    const lists = await load({ method: 'GET', path: '/api/v2/lists', connections: 1 })
    report(`GET /lists at ${(maxRows ?? 0).toLocaleString('en')} subscribers`, lists, 'p95 < 5 ms', lists.p95 < 5)

    const ratios = { get: round(get.perSecond / hello.perSecond, 3), post: round(post.perSecond / hello.perSecond, 3) }
    printTable(`One api process, ${rows?.toLocaleString('en')} subscribers; load before ${machine.loadBefore}`, figures)
    console.log(`\nratio to Fastify's minimal route: GET subscriber ${ratios.get}, POST subscriber ${ratios.post}`)
    console.log(JSON.stringify({ bench: 'api', rows, runs, seconds, machine, figures, ratios }))
    await installation.stop()
    return { figures, ratios }
  } finally {
    installation.remove()
  }
}
