import type pg from 'pg'
import { identify, signal } from '../../src/supervisor/processes.ts'
import { waitFor } from '../wait-for.ts'
import type { Installation, Role } from './installation.ts'
import {
  isSettled,
  longestStandstill,
  type Reconciliation,
  readSubmits,
  reconcile,
  Sampler,
  SubmitCounter,
} from './reconcile.ts'

// A broadcast with random faults: processes are killed or frozen at random times, and at the end the message log and the
// raw file are compared. One seed determines everything.

/** A fault that is injected during a broadcast. */
export type RandomFault = {
  name: string
  /** Whether it can leave unconfirmed texts. */
  leavesUnconfirmed: boolean
  /** Its share of the broadcast's duration, relative to faults of weight 1. */
  weight?: number
  /** Calls `injected` at the moment of the fault, and returns after the recovery. */
  inject(installation: Installation, injected: () => void): Promise<void>
}

async function killRole(installation: Installation, role: Role, injected: () => void): Promise<void> {
  await waitFor(() => installation.pid(role), { timeoutMs: 10_000, what: `a ${role} to kill` })
  installation.kill(role)
  injected()
}

const kill = (role: Role, leavesUnconfirmed: boolean): RandomFault => ({
  name: role,
  leavesUnconfirmed,
  inject: (installation, injected) => killRole(installation, role, injected),
})

export const processFaults = {
  api: kill('api', false),
  worker: kill('worker', false),
  gateway: kill('gateway', true),
  postmaster: kill('postmaster', true),
  simulator: kill('simulator', true),

  /** Kills one server process of PostgreSQL, which then ends all others and recovers. */
  backend: {
    name: 'backend',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      const client = await installation.connect()
      try {
        const { rows } = await client.query<{ pid: number }>(
          `select pid from pg_stat_activity where application_name = 'carillon gateway' order by query_start desc limit 1`,
        )
        const pid = rows[0]?.pid
        if (pid === undefined || !signal(pid, 'SIGKILL')) throw new Error('no backend of the gateway to kill')
        injected()
      } finally {
        await client.end().catch(() => {})
      }
    },
  },

  /** Kills the supervisor, whose watchdog then ends everything, and starts it again. */
  supervisor: {
    name: 'supervisor',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      await killRole(installation, 'supervisor', injected)
      await installation.supervisorGone()
      await installation.start()
    },
  },

  /** Freezes a gateway for longer than its lease, until another has taken over its work. */
  freeze: {
    name: 'gateway (frozen)',
    leavesUnconfirmed: true,
    weight: 2.5,
    async inject(installation, injected) {
      const partner = await startPartner(installation)
      await freezeOne(installation, partner, injected)
      await stopPartner(partner)
    },
  },
} satisfies Record<string, RandomFault>

/** A second gateway, and the ids of both. */
export type Partner = { pid: number; id: string; ofSupervisor: string }

/** Starts a gateway beside the supervisor's and waits until it has a share of the binds. */
export async function startPartner(installation: Installation): Promise<Partner> {
  const [ofSupervisor] = await waitFor(async () => onlyOne(await boundGateways(installation)), {
    timeoutMs: 10_000,
    what: 'the first gateway to bind',
  })
  const pid = installation.startSecond('gateway')
  const others = await waitFor(
    async () => onlyOne((await boundGateways(installation)).filter((gateway) => gateway !== ofSupervisor)),
    { timeoutMs: 10_000, what: 'the second gateway to bind' },
  )
  return { pid, id: others[0], ofSupervisor }
}

const onlyOne = (found: string[]) => (found.length === 1 ? (found as [string]) : undefined)

export async function stopPartner({ pid }: Partner): Promise<void> {
  signal(pid, 'SIGTERM')
  await waitFor(() => !isAlive(pid), { timeoutMs: 10_000, what: 'the second gateway to stop in order' })
}

/** Freezes the gateway that has work until the other has taken it over; the thawed gateway must notice that. */
export async function freezeOne(installation: Installation, partner: Partner, injected: () => void): Promise<void> {
  const worker = await waitFor(
    async () => {
      for (const id of [partner.ofSupervisor, partner.id]) {
        if ((await chunksOf(installation, id)).length > 0) return id
      }
    },
    { timeoutMs: 5_000, what: 'a gateway at work' },
  )
  const isPartner = worker === partner.id
  const frozen = isPartner ? partner.pid : installation.pid('gateway')
  const log = isPartner ? 'second gateway' : 'gateway'
  signal(frozen, 'SIGSTOP')
  injected()
  const held = await chunksOf(installation, worker)
  if (held.length === 0) throw new Error('what was to be frozen had just done its work')
  await waitFor(() => isTakenOver(installation, held, worker), {
    timeoutMs: installation.options.leaseMs + 5_000,
    what: 'the other gateway to take the work of the frozen one over',
  })
  const noticed = () => installation.log(log).split('lost a chunk to another gateway').length
  const noticedBefore = noticed()
  signal(frozen, 'SIGCONT') // its successor is in full swing now
  await waitFor(() => noticed() > noticedBefore, {
    timeoutMs: 10_000,
    what: 'the gateway to notice on waking up that its work is gone',
  })
}

const isAlive = (pid: number) => identify(pid) !== undefined

/** Returns the gateways that have a bind; two share the slots of a connection. */
export async function boundGateways(installation: Installation): Promise<string[]> {
  const rows = await query<{ id: string }>(
    installation,
    'select distinct leased_by as id from bind_slots where bound and lease_until > clock_timestamp()',
  )
  return rows.map(({ id }) => id)
}

/** Returns the chunks that this gateway has leased and not finished. */
export async function chunksOf(installation: Installation, gateway: string): Promise<string[]> {
  const held = `select id from send_chunks where done_at is null and leased_by = '${gateway}'`
  return (await query<{ id: string }>(installation, held)).map(({ id }) => id)
}

/** Returns whether another gateway has leased one of these chunks. */
async function isTakenOver(installation: Installation, chunks: string[], from: string): Promise<boolean> {
  const taken = `select from send_chunks where id in (${chunks.join(', ')}) and leased_by <> '${from}'`
  return (await query(installation, taken)).length > 0
}

async function query<T extends pg.QueryResultRow>(installation: Installation, sql: string): Promise<T[]> {
  const client = await installation.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}

export type InjectedFault = { name: string; at: number; fraction: number; standstillMs: number }

export type Outcome = Reconciliation & {
  injected: InjectedFault[]
  samples: number
  mostUnknown: number
  /** The highest allowed number of unknown rows: two windows per bind and per fault that leaves texts unconfirmed. */
  unknownAllowed: number
  seconds: number
  /** Time from the last text until every row was closed. */
  settledAfterMs: number
}

const firstAt = 0.08
const lastAt = 0.9
const settleMs = 40_000

/** Sends a broadcast, injects each fault at a different time of it, and compares log and raw file. */
export async function broadcastUnderFire(
  installation: Installation,
  input: {
    listId: number
    phones: readonly number[]
    content: string
    processFaults: readonly RandomFault[]
    random: () => number
  },
): Promise<Outcome> {
  const { listId, phones, content, random } = input
  const counter = new SubmitCounter(installation)
  const before = counter.count
  const begun = performance.now()
  const messageId = await installation.broadcast(listId, content)
  const sampler = new Sampler(installation, messageId)
  try {
    const injectedAt: Array<{ name: string; at: number }> = []
    const weights = input.processFaults.reduce((sum, { weight = 1 }) => sum + weight, 0)
    let from = firstAt
    for (const fault of input.processFaults) {
      // each comes in the first third of its share, so that the installation has recovered before the next one
      const share = ((lastAt - firstAt) * (fault.weight ?? 1)) / weights
      const point = before + phones.length * (from + (share * random()) / 3)
      from += share
      await waitFor(() => counter.count >= point, { timeoutMs: 40_000, what: `the moment to inject the ${fault.name}` })
      await fault.inject(installation, () => injectedAt.push({ name: fault.name, at: Date.now() }))
    }
    const client = await waitFor(() => installation.connect(), { timeoutMs: 10_000, what: 'the database to be back' })
    try {
      await waitFor(() => isSettled(client, messageId), { timeoutMs: settleMs, what: 'the broadcast to settle' }).catch(
        (error: Error) => sampler.faults.push(error.message),
      )
      const settledAt = Date.now()
      await sampler.stop()
      const reconciliation = await reconcile(installation, client, { messageId, content, phones })
      const records = readSubmits(installation, content)
      const last = records.at(-1)?.time ?? 0
      const injected = injectedAt.map(({ name, at }, n) => ({
        name,
        at,
        fraction: records.filter(({ time }) => time <= at).length / records.length,
        standstillMs: longestStandstill(records, at, injectedAt[n + 1]?.at ?? last),
      }))
      const { binds, window } = installation.options
      return {
        ...reconciliation,
        faults: [...sampler.faults.slice(0, 5), ...reconciliation.faults],
        injected,
        samples: sampler.samples,
        mostUnknown: sampler.mostUnknown,
        unknownAllowed:
          input.processFaults.filter(({ leavesUnconfirmed }) => leavesUnconfirmed).length * 2 * window * binds,
        seconds: (performance.now() - begun) / 1_000,
        settledAfterMs: settledAt - last,
      }
    } finally {
      await client.end()
    }
  } finally {
    await sampler.stop()
  }
}

/** Returns the broken promises of an outcome, a sentence each. */
export function faultsOf(outcome: Outcome): string[] {
  const faults = [...outcome.faults]
  for (const { name, fraction, standstillMs } of outcome.injected) {
    if (fraction < 0.05 || fraction > 0.95) faults.push(`${name} was injected at ${percent(fraction)}, outside 5-95 %`)
    if (standstillMs > 10_000) faults.push(`${standstillMs} ms without a text after ${name} was injected`)
  }
  if (outcome.everUnknown > outcome.unknownAllowed) {
    faults.push(`${outcome.everUnknown} rows became unknown, ${outcome.unknownAllowed} are allowed`)
  }
  if (outcome.samples < outcome.seconds) faults.push(`only ${outcome.samples} samples in ${outcome.seconds} s`)
  return faults
}

/** Returns the faults of an outcome as a table. */
export function tableOf({ injected }: Outcome): string {
  const rows = injected.map(({ name, fraction, standstillMs }) =>
    [name.padEnd(18), percent(fraction).padStart(8), `${standstillMs} ms`.padStart(12)].join(''),
  )
  return [`${'injected'.padEnd(18)}${'at'.padStart(8)}${'standstill'.padStart(12)}`, ...rows].join('\n')
}

export const percent = (fraction: number) => `${(fraction * 100).toFixed(1)} %`

/** Returns a generator of numbers from 0 to 1, the same ones for the same seed (Lehmer's). */
export function randomFrom(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1
  const next = () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
  next()
  return next
}

export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}

/** Returns phone numbers whose texts the simulator delivers: none has the exchange 555. */
export function phonesFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, n) => first + n)
}
