// Checks that a cap is respected and fully used: a broadcast that could be sent much faster than the cap of its
// connection, by one gateway and by several that share the cap (promise B5). By the gateways' write times, no sliding
// second may contain more submits than the cap; by the simulator's times, at most 3 % or 2 submits more. At least 97 % of
// the cap must be used over the measured time.

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readRawFile } from '../server/src/simulator/raw-file.ts'
import { maxPerSecond } from '../server/test/sliding-seconds.ts'
import { type Installation, startInstallation } from './lib/installation.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { DatabaseWatch } from './lib/statements.ts'
import { makeList, startBroadcast } from './lib/texting.ts'

const gatewayScript = fileURLToPath(new URL('../server/src/bin/gateway.ts', import.meta.url))
const useGoal = 0.97
const arrivalTolerance = 0.03
const binds = 3
const window = 100
/** Maximum time until gateways that start together have divided the cap. */
const settleSeconds = 4
const timeoutMs = 30_000

type Setup = { mps: number; gateways: number; seconds: number }

type Figures = {
  mps: number
  gateways: number
  /** Maximum in a sliding second, by the gateways' write times (undefined if not recorded) and by the simulator's times. */
  written: number | undefined
  arrived: number
  arrivedLimit: number
  used: number
  seconds: number
}

/** Measures each cap with each number of gateways; sets exit code 1 if a cap is exceeded or not used. */
export async function run(args: string[] = process.argv.slice(3)): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      mps: { type: 'string', default: '100,1000' },
      gateways: { type: 'string', default: '1,3' },
      seconds: { type: 'string', default: '60' },
    },
  })
  const machine = describeMachine()
  console.log(
    `${values.seconds} s each, window ${binds} binds x ${window}; ` +
      `${machine.cores} cores, ${machine.model}, load ${machine.loadBefore}`,
  )
  const figures: Figures[] = []
  for (const mps of values.mps.split(',').map(Number)) {
    for (const gateways of values.gateways.split(',').map(Number)) {
      figures.push(await measure({ mps, gateways, seconds: Number(values.seconds) }))
      console.log(JSON.stringify(figures.at(-1)))
    }
  }
  printTable(
    'Submits in the busiest second, and use of the cap',
    figures.map((figure) => ({
      cap: figure.mps,
      gateways: figure.gateways,
      written: figure.written ?? 'unknown',
      arrived: figure.arrived,
      'arrived limit': figure.arrivedLimit,
      'used %': round(figure.used * 100, 2),
      seconds: round(figure.seconds, 1),
      met: isMet(figure) ? 'yes' : 'NO',
    })),
  )
  console.log(`\n${JSON.stringify({ bench: 'cap', machine, binds, window, useGoal, figures })}`)
  if (!figures.every(isMet)) process.exitCode = 1
}

function isMet({ mps, written, arrived, arrivedLimit, used }: Figures): boolean {
  return (written ?? 0) <= mps && arrived <= arrivedLimit && used >= useGoal
}

async function measure({ mps, gateways, seconds }: Setup): Promise<Figures> {
  const startedAt = performance.now()
  const installation = await startInstallation({ binds, window, mps })
  const database = new DatabaseWatch(installation.databaseUrl)
  const others: ChildProcess[] = []
  try {
    await database.start()
    const { listId } = await makeList(installation, mps * (seconds + settleSeconds + 5))
    for (let n = 1; n < gateways; n++) others.push(startGateway(installation))
    await waitUntilAllBound(database, gateways)
    const { id, postedAt } = await startBroadcast(installation, listId, 'The library is open until ten.')
    const first = await waitForFirstSubmit(installation.rawFile, postedAt)
    await sleep((settleSeconds + seconds) * 1_000 + 500)
    const arrivals = submitTimes(installation.rawFile, postedAt)
    const from = first + settleSeconds * 1_000
    const used = arrivals.filter((time) => time >= from && time < from + seconds * 1_000).length / (mps * seconds)
    const written = await writeTimes(database, id)
    for (const each of others) await stopProcess(each)
    await database.stop()
    await installation.stop()
    return {
      mps,
      gateways,
      written: written && maxPerSecond(written),
      arrived: maxPerSecond(arrivals),
      arrivedLimit: Math.max(Math.floor(mps * (1 + arrivalTolerance)), mps + 2),
      used,
      seconds: (performance.now() - startedAt) / 1_000,
    }
  } finally {
    for (const each of others) each.kill('SIGKILL')
    await database.stop().catch(() => {})
    installation.remove()
  }
}

/** Starts another gateway with the settings of the installation's gateway. */
function startGateway(installation: Installation): ChildProcess {
  const own = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && isGatewayOf(installation, pid))
  if (own === undefined) throw new Error('the installation has no gateway')
  const settings = readFileSync(`/proc/${own}/environ`, 'utf8').split('\0').filter(Boolean)
  const env = Object.fromEntries(settings.map((setting) => setting.split(/=(.*)/s).slice(0, 2)))
  delete env.NODE_CHANNEL_FD
  return spawn(process.execPath, [gatewayScript], { env, stdio: 'ignore' })
}

function isGatewayOf(installation: Installation, pid: string): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('src/bin/gateway.ts')) return false
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === String(installation.pid)
  } catch {
    return false // the process has just ended
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  if (child.exitCode !== null) return
  child.kill('SIGTERM')
  await ended
}

/** Waits until all binds are bound and each gateway has at least one. */
async function waitUntilAllBound(database: DatabaseWatch, gateways: number): Promise<void> {
  const readBinds = () =>
    database.one<{ gateways: number; bound: number }>(/* sql */ `
      select count(distinct leased_by)::int as gateways, count(*)::int as bound
        from bind_slots where bound and lease_until > clock_timestamp()`)
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(100)) {
    const now = await readBinds()
    if (now.gateways === gateways && now.bound === binds) return
  }
  throw new Error(`the gateways did not share the binds: ${JSON.stringify(await readBinds())}`)
}

async function waitForFirstSubmit(rawFile: string, since: number): Promise<number> {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(50)) {
    const [first] = submitTimes(rawFile, since)
    if (first !== undefined) return first
  }
  throw new Error('no text was submitted')
}

function submitTimes(rawFile: string, since: number): number[] {
  const times: number[] = []
  for (const { time } of readRawFile(rawFile)) if (time >= since) times.push(time)
  return times
}

async function writeTimes(database: DatabaseWatch, messageId: number): Promise<number[] | undefined> {
  const { times } = await database.one<{ times: Array<number | null> }>(
    /* sql */ `
    select coalesce(array_agg(extract(epoch from s.written_at) * 1000 order by s.written_at)::float8[], '{}') as times
      from submits s join message_log l on l.id = s.log_id and l.logged_on = s.logged_on
     where l.message_id = $1`,
    [messageId],
  )
  return times.includes(null) ? undefined : (times as number[])
}
