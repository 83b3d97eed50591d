import { signal } from '../../src/supervisor/processes.ts'
import { waitFor } from '../wait-for.ts'
import type { Installation, Role } from './installation.ts'
import {
  isSettled,
  longestPause,
  type Reconciliation,
  readSubmits,
  reconcile,
  Sampler,
  SubmitCounter,
} from './reconcile.ts'
import { freezeBusyGateway, startSecondGateway, stopSecondGateway } from './second-gateway.ts'
import { sendBroadcast } from './texting.ts'

// A broadcast with random faults: processes are killed or frozen at random times, and at the end the message log is
// compared with the raw file. The seed determines everything.

/** A fault that is injected during a broadcast. */
export type RandomFault = {
  name: string
  /** Whether the fault can leave unconfirmed texts. */
  leavesUnconfirmed: boolean
  /** Share of the broadcast's duration, relative to faults of weight 1. */
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

  /** Kills one backend of PostgreSQL, which then ends all others and recovers. */
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
        if (pid === undefined || !signal(pid, 'SIGKILL')) throw new Error('found no backend of the gateway')
        injected()
      } finally {
        await client.end().catch(() => {})
      }
    },
  },

  /** Kills the supervisor, whose watchdog then ends all processes, and starts it again. */
  supervisor: {
    name: 'supervisor',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      await killRole(installation, 'supervisor', injected)
      await installation.waitForSupervisorExit()
      await installation.start()
    },
  },

  /** Freezes a gateway for longer than its lease, until another gateway takes over its chunks. */
  freeze: {
    name: 'gateway (frozen)',
    leavesUnconfirmed: true,
    weight: 2.5,
    async inject(installation, injected) {
      const second = await startSecondGateway(installation)
      await freezeBusyGateway(installation, second, injected)
      await stopSecondGateway(second)
    },
  },
} satisfies Record<string, RandomFault>

export type InjectedFault = { name: string; at: number; fraction: number; longestPauseMs: number }

export type Outcome = Reconciliation & {
  injected: InjectedFault[]
  samples: number
  mostUnknown: number
  /** Maximum number of unknown rows: two windows per bind and per fault that leaves texts unconfirmed. */
  unknownAllowed: number
  seconds: number
  /** Time from the last text until all rows were closed. */
  settledAfterMs: number
}

const firstFaultAtShare = 0.08
const lastFaultAtShare = 0.9
const settleTimeoutMs = 40_000

/** Sends a broadcast, injects the faults one after the other during it, and compares the log with the raw file. */
export async function broadcastDuringFaults(
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
  const countBefore = counter.count
  const startedAt = performance.now()
  const messageId = await sendBroadcast(installation, listId, content)
  const sampler = new Sampler(installation, messageId)
  try {
    const injectedAt: Array<{ name: string; at: number }> = []
    const weights = input.processFaults.reduce((sum, { weight = 1 }) => sum + weight, 0)
    let from = firstFaultAtShare
    for (const fault of input.processFaults) {
      // each fault is in the first third of its share, so that the installation recovers before the next one
      const share = ((lastFaultAtShare - firstFaultAtShare) * (fault.weight ?? 1)) / weights
      const point = countBefore + phones.length * (from + (share * random()) / 3)
      from += share
      await waitFor(() => counter.count >= point, { timeoutMs: 40_000, what: `the moment to inject the ${fault.name}` })
      await fault.inject(installation, () => injectedAt.push({ name: fault.name, at: Date.now() }))
    }
    const client = await waitFor(() => installation.connect(), { timeoutMs: 10_000, what: 'the database to be back' })
    try {
      await waitFor(() => isSettled(client, messageId), {
        timeoutMs: settleTimeoutMs,
        what: 'the broadcast to settle',
      }).catch((error: Error) => sampler.faults.push(error.message))
      const settledAt = Date.now()
      await sampler.stop()
      const reconciliation = await reconcile(installation, client, { messageId, content, phones })
      const records = readSubmits(installation, content)
      const last = records.at(-1)?.time ?? 0
      const injected = injectedAt.map(({ name, at }, n) => ({
        name,
        at,
        fraction: records.filter(({ time }) => time <= at).length / records.length,
        longestPauseMs: longestPause(records, at, injectedAt[n + 1]?.at ?? last),
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
        seconds: (performance.now() - startedAt) / 1_000,
        settledAfterMs: settledAt - last,
      }
    } finally {
      await client.end()
    }
  } finally {
    await sampler.stop()
  }
}

/** Returns the violations of promises in an outcome, one sentence each. */
export function faultsOf(outcome: Outcome): string[] {
  const faults = [...outcome.faults]
  for (const { name, fraction, longestPauseMs } of outcome.injected) {
    if (fraction < 0.05 || fraction > 0.95) faults.push(`${name} was injected at ${percent(fraction)}, outside 5-95 %`)
    if (longestPauseMs > 10_000) faults.push(`${longestPauseMs} ms without a text after ${name} was injected`)
  }
  if (outcome.everUnknown > outcome.unknownAllowed) {
    faults.push(`${outcome.everUnknown} rows became unknown, ${outcome.unknownAllowed} are allowed`)
  }
  if (outcome.samples < outcome.seconds) faults.push(`only ${outcome.samples} samples in ${outcome.seconds} s`)
  return faults
}

/** Returns the injected faults of an outcome as a table. */
export function tableOf({ injected }: Outcome): string {
  const rows = injected.map(({ name, fraction, longestPauseMs }) =>
    [name.padEnd(18), percent(fraction).padStart(8), `${longestPauseMs} ms`.padStart(12)].join(''),
  )
  return [`${'injected'.padEnd(18)}${'at'.padStart(8)}${'pause'.padStart(12)}`, ...rows].join('\n')
}

export const percent = (fraction: number) => `${(fraction * 100).toFixed(1)} %`

/** Returns a generator of numbers from 0 to 1, determined by the seed (Lehmer's algorithm). */
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
    .map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}

/** Returns `count` consecutive phone numbers; the simulator delivers all texts unless their exchange is 555. */
export function phonesFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, n) => first + n)
}
