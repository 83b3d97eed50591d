// What a caller of the API feels of clients without a key that open thousands of sockets, and how much memory the api
// uses for them. Times without and with these clients alternate, because the load of a machine changes.

import { type ChildProcess, fork } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Hostile, HostileCounts, Hostility } from './lib/hostile-sockets.ts'
import { type Installation, startInstallation } from './lib/installation.ts'
import { describeMachine, printTable, round } from './lib/report.ts'

const script = fileURLToPath(new URL('./lib/hostile-sockets.ts', import.meta.url))

/** Times in ms: of requests on a connection that stays open, and on a new one for each. */
type Row = {
  kind: string
  sockets: number
  open: number
  p50: number
  'p50 alone': number
  p99: number
  'p99 alone': number
  ratio: number
  'new p99': number
  'new p99 alone': number
  'new ratio': number
  failed: number
  'RSS MB': number
}

/** Measures a caller with each kind and number of hostile sockets, and without them before and after. */
export async function run(args: string[] = process.argv.slice(3)) {
  const { values } = parseArgs({
    args,
    options: {
      sockets: { type: 'string', default: '700,5000' },
      kinds: { type: 'string', default: 'idle,headers,drip,body,key,unread' },
      seconds: { type: 'string', default: '10' },
      rounds: { type: 'string', default: '2' },
    },
  })
  const seconds = Number(values.seconds)
  const machine = describeMachine()
  const installation = await startInstallation({ binds: 1, window: 10 })
  const rows: Row[] = []
  try {
    const api = findApi(installation.pid)
    await callFor(installation, 2)
    console.log(`RSS before: ${rssMb(api)} MB`)
    for (const kind of values.kinds.split(',') as Hostility[]) {
      for (const sockets of values.sockets.split(',').map(Number)) {
        const [alone, attacked] = [newTimes(), newTimes()] as const
        let [open, peak] = [0, 0]
        for (let n = 0; n < Number(values.rounds); n++) {
          merge(alone, await callFor(installation, seconds))
          const hostile = startHostile({ port: Number(new URL(installation.url).port), sockets, kind })
          await sleep(sockets / 5 + 1_500)
          const watch = setInterval(() => (peak = Math.max(peak, rssMb(api))), 100)
          merge(attacked, await callFor(installation, seconds))
          clearInterval(watch)
          open = hostile.counts().open
          hostile.process.kill('SIGKILL')
          await sleep(2_000)
        }
        rows.push(rowOf(kind, sockets, open, peak, alone, attacked))
        console.log(JSON.stringify(rows.at(-1)))
      }
    }
    printTable(`A caller beside sockets without a key, in ms; load before ${machine.loadBefore}`, rows)
    console.log(JSON.stringify({ bench: 'strangers', seconds, machine, rows }))
    await installation.stop()
    return rows
  } finally {
    installation.remove()
  }
}

type Times = { kept: number[]; fresh: number[]; failed: number }
const newTimes = (): Times => ({ kept: [], fresh: [], failed: 0 })

function merge(into: Times, { kept, fresh, failed }: Times) {
  into.kept.push(...kept)
  into.fresh.push(...fresh)
  into.failed += failed
}

function percentile(times: number[], share: number): number {
  return round(times.toSorted((a, b) => a - b)[Math.floor(times.length * share)] ?? 0, 2)
}

function rowOf(kind: string, sockets: number, open: number, peak: number, alone: Times, attacked: Times): Row {
  const [p99, alone99] = [percentile(attacked.kept, 0.99), percentile(alone.kept, 0.99)]
  const [new99, newAlone99] = [percentile(attacked.fresh, 0.99), percentile(alone.fresh, 0.99)]
  return {
    kind,
    sockets,
    open,
    p50: percentile(attacked.kept, 0.5),
    'p50 alone': percentile(alone.kept, 0.5),
    p99,
    'p99 alone': alone99,
    ratio: round(p99 / alone99, 2),
    'new p99': new99,
    'new p99 alone': newAlone99,
    'new ratio': round(new99 / newAlone99, 2),
    failed: attacked.failed,
    'RSS MB': peak,
  }
}

/** Reads the caller's account again and again, on a connection that stays open and on a new one each time. */
async function callFor({ url, authorization }: Installation, seconds: number): Promise<Times> {
  const times = newTimes()
  const end = performance.now() + seconds * 1_000
  const repeat = async (into: number[], agent: Agent) => {
    while (performance.now() < end) {
      const startedAt = performance.now()
      const status = await call(`${url}/api/v2/accounts/me`, authorization, agent)
      into.push(performance.now() - startedAt)
      if (status !== 200) times.failed++
      await sleep(5)
    }
    agent.destroy()
  }
  await Promise.all([
    repeat(times.kept, new Agent({ keepAlive: true, maxSockets: 1 })),
    repeat(times.fresh, new Agent({ keepAlive: false })),
  ])
  return times
}

/** Returns the status of the response, or 0 without one. */
function call(url: string, authorization: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const sent = request(url, { agent, headers: { authorization } }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
      response.once('error', () => resolve(0))
    })
    sent.once('error', () => resolve(0))
    sent.end()
  })
}

function startHostile(hostile: Hostile): { process: ChildProcess; counts: () => HostileCounts } {
  const child = fork(script, [JSON.stringify(hostile)])
  let counts: HostileCounts = { open: 0, opened: 0, closed: 0, sentMb: 0 }
  child.on('message', (message) => (counts = message as HostileCounts))
  return { process: child, counts: () => counts }
}

/** Returns the process of the api role below the supervisor. */
function findApi(supervisor: number): number {
  const pid = readdirSync('/proc').find((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      const parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1])
      return parent === supervisor && /bin\/api\.ts/.test(readFileSync(`/proc/${name}/cmdline`, 'utf8'))
    } catch {
      return false
    }
  })
  if (pid === undefined) throw new Error('the api role is not running')
  return Number(pid)
}

function rssMb(pid: number): number {
  const kb = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Math.round(Number(kb) / 1_024)
}
