// Deliveries of webhooks over TLS: a fast receiver, alone and beside one that needs 200 ms, one that fails and one that never
// responds. Events of an import measure the rate, and those of single adds the time until they arrive. Runs without and with
// the neighbors alternate, because the load of a machine changes.

import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makeAuthority } from '../server/test/certificates.ts'
import { profileClock, profileEnv, topFunctions } from './lib/cpu-profile.ts'
import { type Installation, startInstallation } from './lib/installation.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { DatabaseWatch } from './lib/statements.ts'
import {
  type Arrivals,
  type Listening,
  type Progress,
  type ReceiverName,
  receiverNames,
} from './lib/webhook-receivers.ts'
import { addUntilAborted, importRows } from './pages.ts'

const script = fileURLToPath(new URL('./lib/webhook-receivers.ts', import.meta.url))

/** Time without an arrival at the fast receiver after which the missing events count as lost. */
const stalledMs = 60_000
const neighbors = receiverNames.filter((name) => name !== 'fast')

/**
 * Rates are deliveries per second; times are to the arrival at the fast receiver, from the change or, for an import, from its first
 * change, in ms.
 */
type Row = {
  events: string
  neighbors: string
  count: number
  fastPerSecond: number
  slowPerSecond: number
  p50: number
  p99: number
  lost: number
  doubled: number
}

/** Delivers the events of an import of `events` numbers and of `adds` adds per second, `rounds` times alone and with neighbors. */
export async function run(args: string[] = process.argv.slice(3)) {
  const { values } = parseArgs({
    args,
    options: {
      events: { type: 'string', default: '100000' },
      adds: { type: 'string', default: '100' },
      seconds: { type: 'string', default: '20' },
      rounds: { type: 'string', default: '1' },
      profile: { type: 'boolean', default: false },
    },
  })
  const machine = describeMachine()
  const scratch = mkdtempSync(join(tmpdir(), 'carillon-bench-'))
  const profiles = join(process.cwd(), 'bench', 'profiles', String(process.pid))
  if (values.profile) mkdirSync(profiles, { recursive: true })
  const authority = makeAuthority()
  const extraCaFile = join(scratch, 'authority.pem')
  writeFileSync(extraCaFile, authority.cert)
  const receivers = await startReceivers(JSON.stringify(authority.issue('127.0.0.1')))
  const installation = await startInstallation({
    binds: 1,
    window: 10,
    env: {
      CARILLON_ALLOW_PRIVATE_URLS: '127.0.0.0/8',
      CARILLON_EXTRA_CA_FILE: extraCaFile,
      ...(values.profile && profileEnv(profiles)),
    },
  })
  const database = new DatabaseWatch(installation.databaseUrl)
  try {
    await database.start()
    const world = await makeWorld(installation, database, receivers)
    if (values.profile) database.sampleStatements()
    const from = profileClock()
    const rows: Row[] = []
    for (let n = 0; n < Number(values.rounds); n++) {
      for (const withNeighbors of [false, true]) {
        for (const work of [
          world.importing(Number(values.events)),
          world.adding(Number(values.adds), Number(values.seconds)),
        ]) {
          rows.push(await world.measure(work, withNeighbors))
          console.log(JSON.stringify(rows.at(-1)))
        }
      }
    }
    const to = profileClock()
    report(rows, machine, values.events)
    await database.stop()
    await installation.stop()
    if (values.profile) printProfile(database, profiles, from, to)
    return rows
  } finally {
    receivers.process.kill('SIGKILL')
    installation.remove()
    rmSync(scratch, { recursive: true, force: true })
  }
}

type Work = { name: string; count: number; run: () => Promise<void> }
type Receivers = Awaited<ReturnType<typeof startReceivers>>

async function makeWorld(installation: Installation, database: DatabaseWatch, receivers: Receivers) {
  const { list } = await installation.call<{ list: { id: number } }>('POST', '/lists', {
    list: { name: 'Bench', import_events: true },
  })
  const path = `/lists/${list.id}`
  const addWebhook = async (name: ReceiverName) => {
    const webhook = { callback_url: `https://127.0.0.1:${receivers.ports[name]}/in`, subscribe: true }
    const added = await installation.call<{ webhook: { id: number } }>('POST', `${path}/webhooks`, { webhook })
    return added.webhook.id
  }
  const ids = new Map<ReceiverName, number>([['fast', await addWebhook('fast')]])
  let nextPhone = 0
  const takePhones = (count: number) => {
    const first = nextPhone
    nextPhone += count
    return (n: number) => phoneNumber(first + n)
  }
  const eventsAfter = async (after: number) => {
    const { times } = await database.one<{ times: [number, number][] }>(
      `select coalesce(json_agg(json_build_array(position, extract(epoch from occurred_at) * 1000)), '[]') as times
         from events where position > $1 and type = 'subscribe'`,
      [after],
    )
    return new Map(times)
  }
  const waitingOf = async (name: ReceiverName) => {
    const { positions } = await database.one<{ positions: number[] }>(
      `select coalesce(json_agg(d.position), '[]') as positions
         from deliveries d join endpoints e on e.id = d.endpoint_id where e.webhook_id = $1`,
      [ids.get(name)],
    )
    return positions
  }

  return {
    importing: (count: number): Work => ({
      name: 'import',
      count,
      run: () => importRows(installation, path, count, takePhones(count)),
    }),
    adding(perSecond: number, seconds: number): Work {
      const numberOf = takePhones(perSecond * seconds * 2)
      const work = { name: `${perSecond} adds/s`, count: 0 }
      const done = () => void work.count++
      const run = () =>
        addUntilAborted(installation, path, perSecond, numberOf, AbortSignal.timeout(seconds * 1_000), done)
      return Object.assign(work, { run })
    },
    /** Delivers the events of some work, until the fast receiver has all, and counts what each receiver did not get. */
    async measure(work: Work, withNeighbors: boolean): Promise<Row> {
      const { last } = await database.one<{ last: number }>(
        'select coalesce(max(position), 0)::int as last from events',
      )
      if (withNeighbors) for (const name of neighbors) ids.set(name, await addWebhook(name))
      await work.run()
      await receivers.waitForFast(() => work.count)
      const measured = withNeighbors ? receiverNames : (['fast'] as const)
      const occurred = await eventsAfter(last)
      let [lost, doubled] = [work.count - occurred.size, 0]
      const arrivals = new Map<ReceiverName, Arrivals>()
      for (const name of measured) {
        const waiting = new Set(await waitingOf(name))
        const found = await receivers.arrivalsAt(name, last)
        arrivals.set(name, found)
        const distinct = new Set(found.positions)
        // failed requests are repeated, so an event that waits is neither lost nor doubled
        for (const position of occurred.keys()) if (!distinct.has(position) && !waiting.has(position)) lost++
        if (name === 'fast') doubled += found.positions.length - distinct.size
      }
      for (const name of withNeighbors ? neighbors : []) {
        await installation.call('DELETE', `${path}/webhooks/${ids.get(name)}`)
      }
      receivers.forgetFast()
      return rowOf(work, withNeighbors, { occurred, arrivals, lost, doubled })
    },
  }
}

type Found = { occurred: Map<number, number>; arrivals: Map<ReceiverName, Arrivals>; lost: number; doubled: number }

function rowOf({ name, count }: Work, withNeighbors: boolean, { occurred, arrivals, lost, doubled }: Found): Row {
  const { positions, at } = arrivals.get('fast') ?? { positions: [], at: [] }
  // An import makes events faster than they are delivered. Since its first event: from each one to its arrival, the time would be
  // half as long if the import took a fourth longer.
  const start =
    name === 'import' ? [...occurred.values()].reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) : undefined
  const times = positions
    .map((position, n) => (at[n] ?? 0) - (start ?? occurred.get(position) ?? 0))
    .sort((a, b) => a - b)
  const percentile = (share: number) => round(times[Math.floor(times.length * share)] ?? 0, 1)
  const [first, last] = [at[0] ?? 0, at.at(-1) ?? 0]
  const rate = (each: number[]) =>
    Math.round(each.filter((time) => time >= first && time <= last).length / ((last - first) / 1_000))
  return {
    events: name,
    neighbors: withNeighbors ? 'with' : 'without',
    count,
    fastPerSecond: rate(at),
    slowPerSecond: rate(arrivals.get('slow')?.at ?? []),
    p50: percentile(0.5),
    p99: percentile(0.99),
    lost,
    doubled,
  }
}

async function startReceivers(certificate: string) {
  const child: ChildProcess = fork(script, [certificate])
  const listening = Promise.withResolvers<Listening>()
  let requested: ((arrivals: Arrivals) => void) | undefined
  let counts: Progress['counts'] | undefined
  let before = 0
  child.on('message', (message: Listening | Progress | Arrivals) => {
    if ('ports' in message) listening.resolve(message)
    else if ('counts' in message) counts = message.counts
    else requested?.(message)
  })
  child.once('exit', (code) => listening.reject(new Error(`the receivers ended with code ${code}`)))
  const { ports } = await listening.promise
  return {
    process: child,
    ports,
    /** Waits until the fast receiver has this number of requests since `forgetFast`, or gets no more. */
    async waitForFast(expected: () => number) {
      for (let [seen, since] = [-1, performance.now()]; performance.now() - since < stalledMs; await sleep(100)) {
        const fast = (counts?.fast ?? 0) - before
        if (fast >= expected()) return
        if (fast !== seen) [seen, since] = [fast, performance.now()]
      }
    },
    /** Returns the requests for events after a position. */
    async arrivalsAt(name: ReceiverName, after: number): Promise<Arrivals> {
      const { positions, at } = await new Promise<Arrivals>((resolve) => {
        requested = resolve
        child.send(name)
      })
      const isLater = (n: number) => (positions[n] ?? 0) > after
      return { positions: positions.filter((_, n) => isLater(n)), at: at.filter((_, n) => isLater(n)) }
    },
    forgetFast() {
      before = counts?.fast ?? 0
    },
  }
}

function report(rows: Row[], machine: ReturnType<typeof describeMachine>, events: string): void {
  printTable(`Deliveries over TLS; load before ${machine.loadBefore}`, rows)
  const median = (key: 'p99' | 'total', isImport: boolean, among: string) => {
    const values = rows
      .filter((row) => (row.events === 'import') === isImport && row.neighbors === among)
      .map((row) => (key === 'p99' ? row.p99 : row.fastPerSecond + row.slowPerSecond))
    return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
  }
  const ratioOf = (isImport: boolean) => round(median('p99', isImport, 'with') / median('p99', isImport, 'without'), 2)
  const perSecond = median('total', true, 'with')
  const lost = rows.reduce((sum, row) => sum + row.lost, 0)
  const ratios = { import: ratioOf(true), adds: ratioOf(false) }
  const goals = [
    { figure: 'deliveries/s to fast and slow, import', value: perSecond, goal: '2,000/s', met: perSecond >= 2_000 },
    { figure: 'p99 with neighbors / without, import', value: ratios.import, goal: '<= 1.5', met: ratios.import <= 1.5 },
    { figure: 'p99 with neighbors / without, adds', value: ratios.adds, goal: '<= 1.5', met: ratios.adds <= 1.5 },
    { figure: 'lost events', value: lost, goal: '0', met: lost === 0 },
  ].map((row) => ({ ...row, met: row.met ? 'yes' : 'NO' }))
  printTable('Goals; medians of the rounds', goals)
  console.log(JSON.stringify({ bench: 'webhooks', events: Number(events), machine, rows, goals }))
}

function printProfile(database: DatabaseWatch, profiles: string, from: number, to: number): void {
  const share = (value: number) => `${(value * 100).toFixed(1)} %`
  const statements = database.statements().slice(0, 15)
  printTable(
    'Active statements',
    statements.map((row) => ({ ...row, share: share(row.share) })),
  )
  const functions = topFunctions(profiles, 'worker', from, to)
  printTable(
    'Self time of the worker',
    functions.map((row) => ({ ...row, share: share(row.share) })),
  )
  console.log(`\nProfiles (open them in a browser's developer tools): ${profiles}`)
}
