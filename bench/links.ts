// Redirects of short URLs by one api process of the whole product, each with a click that is durable on disk before the response and is
// counted in the database meanwhile. An open loop measures the latency at a rate, a closed loop the highest rate, next to that
// of Fastify's minimal route. At the end, the database must have counted each redirect once.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { LinkTokens } from '../server/src/links/link-tokens.ts'
import { startInstallation } from './lib/installation.ts'
import type { Load, LoadResult } from './lib/load.ts'
import { runLoad, withHello } from './lib/load-process.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { DatabaseWatch } from './lib/statements.ts'
import { makeList, waitUntilClosed } from './lib/texting.ts'

const userAgent =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 19_2 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1'
/** Time without a newly counted click after which the missing ones count as lost. */
const stalledMs = 30_000

type Row = { measured: string; perSecond: number; p50: number; p95: number; p99: number; goal: string; met: string }

/** Texts a list of `recipients` numbers, and opens their short URLs at `rate` per second, `rounds` times, and as fast as possible. */
export async function run(args: string[] = process.argv.slice(3)) {
  const { values } = parseArgs({
    args,
    options: {
      rate: { type: 'string', default: '2000' },
      recipients: { type: 'string', default: '50000' },
      seconds: { type: 'string', default: '10' },
      rounds: { type: 'string', default: '3' },
      connections: { type: 'string', default: '32' },
    },
  })
  const [rate, recipients, seconds] = [values.rate, values.recipients, values.seconds].map(Number) as [
    number,
    number,
    number,
  ]
  const machine = describeMachine()
  const scratch = mkdtempSync(join(tmpdir(), 'carillon-bench-'))
  const installation = await startInstallation({ binds: 1, window: 100 })
  const database = new DatabaseWatch(installation.databaseUrl)
  try {
    await database.start()
    const { listId } = await makeList(installation, recipients)
    const { message } = await installation.call<{ message: { id: number } }>('POST', `/lists/${listId}/messages`, {
      message: { content: 'See https://bench.example/hours', track_links: true },
    })
    await waitUntilClosed(installation, listId, message.id)
    const { id: linkId } = await database.one<{ id: string }>('select id from links where message_id = $1', [
      message.id,
    ])
    const tokens = new LinkTokens(readFileSync(join(installation.dataDir, 'secret.key'), 'utf8').trim())
    const lines = join(scratch, 'tokens')
    const tokenOf = (n: number) => tokens.write({ linkId: Number(linkId), phone: Number(phoneNumber(n)) })
    writeFileSync(lines, Array.from({ length: recipients }, (_, n) => tokenOf(n)).join('\n'))

    const base = {
      connections: Number(values.connections),
      seconds,
      method: 'GET',
      authorization: '',
      phones: { below: 1 },
    }
    const clicks = {
      ...base,
      port: Number(new URL(installation.url).port),
      path: '/l/{line}',
      lines,
      status: 3,
      userAgent,
    }
    const figures: Row[] = []
    const report = (measured: string, result: LoadResult, goal = '', isMet?: boolean) => {
      const { perSecond, p50, p95, p99 } = result
      figures.push({ measured, perSecond, p50, p95, p99, goal, met: isMet === undefined ? '' : isMet ? 'yes' : 'NO' })
      console.log(JSON.stringify(figures.at(-1)))
    }
    const ratios: number[] = []
    let redirected = 0
    const openClicks = async (options: Partial<Load>) => {
      const result = await runLoad({ ...clicks, ...options })
      if (result.failed > 0) throw new Error(`${result.failed} requests of short URLs failed`)
      redirected += result.calls
      return result
    }
    report('an fdatasync of 100 bytes', await timeSyncs(join(scratch, 'syncs')))
    // the first requests run code that is not compiled yet
    await openClicks({ seconds: 2 })
    await waitUntilCounted(database, message.id, redirected)
    for (let n = 0; n < Number(values.rounds); n++) {
      const paced = await openClicks({ perSecond: rate })
      report(`redirects at ${rate.toLocaleString('en')}/s`, paced, 'p99 < 5 ms', paced.p99 < 5)
      await waitUntilCounted(database, message.id, redirected)
      const hello = await withHello((port) => runLoad({ ...base, path: '/hello', port }))
      report("Fastify's minimal route", hello)
      const fastest = await openClicks({})
      report('redirects, as many as possible', fastest)
      ratios.push(round(fastest.perSecond / hello.perSecond, 3))
      const waited = await waitUntilCounted(database, message.id, redirected)
      console.log(`${redirected} clicks counted, ${round(waited, 1)} s after the last redirect; ratio ${ratios.at(-1)}`)
    }
    printTable(`Redirects of one api process, ms; load before ${machine.loadBefore}`, figures)
    console.log(`\nratio of redirects to Fastify's minimal route: ${ratios.join(', ')}`)
    console.log(JSON.stringify({ bench: 'links', rate, recipients, seconds, machine, figures, ratios, redirected }))
    await database.stop()
    await installation.stop()
    return { figures, ratios, redirected }
  } finally {
    installation.remove()
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Waits until the clicks are counted, and returns the seconds; throws if one is counted twice or never. */
async function waitUntilCounted(database: DatabaseWatch, messageId: number, redirected: number): Promise<number> {
  const startedAt = performance.now()
  for (let counted = -1, progressAt = startedAt; ; await sleep(100)) {
    const { n } = await database.one<{ n: string }>(
      'select coalesce(sum(click_count), 0) as n from links where message_id = $1',
      [messageId],
    )
    const now = Number(n)
    if (now > redirected) throw new Error(`${now} clicks counted, ${redirected} redirected`)
    if (now === redirected) return (performance.now() - startedAt) / 1_000
    if (now !== counted) progressAt = performance.now()
    counted = now
    if (performance.now() - progressAt > stalledMs) throw new Error(`${now} of ${redirected} clicks counted`)
  }
}

/** Times writes of 100 bytes with an fdatasync: what the disk alone needs for a click. */
async function timeSyncs(path: string): Promise<LoadResult> {
  const file = await open(path, 'a')
  const times: number[] = []
  try {
    for (let n = 0; n < 500; n++) {
      const startedAt = performance.now()
      await file.writeFile(Buffer.alloc(100))
      await file.datasync()
      times.push(performance.now() - startedAt)
    }
  } finally {
    await file.close()
  }
  const sum = times.reduce((total, time) => total + time, 0)
  times.sort((a, b) => a - b)
  const at = (share: number) => round(times[Math.floor(times.length * share)] ?? 0, 2)
  return { calls: 500, perSecond: round(500_000 / sum, 0), p50: at(0.5), p95: at(0.95), p99: at(0.99), failed: 0 }
}
