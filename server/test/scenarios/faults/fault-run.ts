import type pg from 'pg'
import { waitFor } from '../../wait-for.ts'
import type { Installation } from '../installation.ts'
import { checkOptOuts, type OptOut, optOutByApi, optOutByStop } from '../opt-outs.ts'
import { isSettled, longestPause, readSubmits, reconcile, Sampler, SubmitCounter } from '../reconcile.ts'
import { sendBroadcast } from '../texting.ts'

// A broadcast with one fault and opt-outs at the same time; at the end the message log and the raw file are
// compared. The short form is part of `npm test`, the long form is `npm run test:faults`.

export type Form = 'short' | 'long'

/** The simulator's counters. */
export type SimulatorCounts = {
  accepted: number
  rejected: number
  throttled: number
  responsesLost: number
  receiptsAcknowledged: number
}

/** A fault during a broadcast. */
export type Fault = {
  /** Completes the test title "keeps its promises while ...". */
  name: string
  /** The simulator's settings from before the broadcast until the end of the fault. */
  settings?: Record<string, unknown>
  /** A higher latency, so that the broadcast does not end before the fault. */
  latencyMs?: number
  /** Number of texts from the last accepted one to the first opt-out; nearer texts may have been submitted already. */
  optOutDistance?: number
  /** Number of times that two windows of texts per bind may stay unconfirmed. */
  unconfirmedTimes?: number
  /** Runs before the broadcast. */
  prepare?(installation: Installation): Promise<void>
  /** Injects the fault and returns when it is over. */
  inject?(run: FaultRun): Promise<void>
  /** Throws unless the fault had an effect; without an effect, the test proves nothing. */
  checkEffect?(run: FaultRun): Promise<void> | void
}

/** A broadcast with a fault. */
export type FaultRun = {
  installation: Installation
  form: Form
  messageId: number
  sampler: Sampler
  /** The simulator's counters since the broadcast began. */
  counts(): Promise<SimulatorCounts>
  /** Number of log lines of a role with these words since the broadcast began. */
  countLogLines(role: (typeof roles)[number], words: string): number
  query<T extends pg.QueryResultRow>(sql: string): Promise<T[]>
  /** Waits until this share of the texts is accepted. */
  waitUntilAccepted(share: number): Promise<void>
  /** Waits until every text is submitted. */
  waitUntilSubmitted(): Promise<void>
  set(settings: Record<string, unknown>): Promise<void>
}

export type TestList = { listId: number; phones: number[] }

export type FaultReport = {
  faults: string[]
  seconds: number
  longestPauseMs: number
  unknown: number
  optOuts: number
}

const injectAtShare = 0.1
const settleTimeoutMs = { short: 40_000, long: 120_000 } satisfies Record<Form, number>

/** Sends a broadcast to the list during the fault and checks all promises; removes opted-out phones from the list. */
export async function runFault(
  installation: Installation,
  list: TestList,
  fault: Fault,
  form: Form,
): Promise<FaultReport> {
  const { listId } = list
  const phones = [...list.phones]
  const content = `${fault.name}: the road is closed`
  const latencyMs = fault.latencyMs ?? installation.options.latencyMs
  const set = async (settings: Record<string, unknown>, method = 'PATCH') => {
    const { status, body } = await installation.control(method, '/settings', settings)
    if (status !== 200) throw new Error(`the simulator rejected ${JSON.stringify(settings)}: ${JSON.stringify(body)}`)
  }
  await set({ latency_ms: latencyMs, receipt_delay_ms: 50, ...fault.settings }, 'PUT')
  await fault.prepare?.(installation)
  const before = await readSimulatorCounts(installation)
  const settledBefore = await countSettledReceipts(installation)
  const logsBefore = new Map(roles.map((role) => [role, installation.log(role).length]))
  const counter = new SubmitCounter(installation)
  const countBefore = counter.count
  const startedAt = Date.now()
  const messageId = await sendBroadcast(installation, listId, content)
  const sampler = new Sampler(installation, messageId)
  const run: FaultRun = {
    installation,
    form,
    messageId,
    sampler,
    set,
    async counts() {
      const now = await readSimulatorCounts(installation)
      return Object.fromEntries(
        Object.entries(now).map(([name, n]) => [name, n - before[name as keyof SimulatorCounts]]),
      ) as SimulatorCounts
    },
    countLogLines: (role, words) => installation.log(role).slice(logsBefore.get(role)).split(words).length - 1,
    async query<T extends pg.QueryResultRow>(sql: string) {
      const client = await installation.connect()
      try {
        return (await client.query<T>(sql)).rows
      } finally {
        await client.end()
      }
    },
    async waitUntilAccepted(share) {
      const point = countBefore + phones.length * share
      await waitFor(() => counter.count >= point, { timeoutMs: settleTimeoutMs[form], what: `${share} of the texts` })
    },
    async waitUntilSubmitted() {
      const open = `select from message_totals c join messages m on m.id = c.message_id
                     where c.message_id = ${messageId} and m.status = 'sent' and c.queued + c.submitting = 0`
      await waitFor(async () => (await run.query(open)).length > 0, {
        timeoutMs: settleTimeoutMs[form],
        what: 'all texts',
      })
    },
  }
  try {
    await run.waitUntilAccepted(injectAtShare)
    const injectedAt = Date.now()
    const next = counter.count - countBefore + (fault.optOutDistance ?? 5)
    const chosen = [0, 80, 160].map((n) => phones[next + n] ?? 0).filter(Boolean)
    const optingOut = optOutAll(installation, listId, chosen, settleTimeoutMs[form])
    optingOut.catch(() => {}) // awaited below
    await fault.inject?.(run)
    const repairedAt = Date.now()
    const optOuts = await optingOut
    if (fault.inject) await set({ latency_ms: latencyMs, receipt_delay_ms: 50 }, 'PUT')
    const client = await waitFor(() => installation.connect(), { timeoutMs: 15_000, what: 'the database to be back' })
    try {
      const faults: string[] = []
      // the simulator may still owe receipts to a bind that it has not yet detected as dead
      const isOver = async () => {
        const { owed } = (await installation.control('GET', '/state')).body
        return owed === 0 && (await isSettled(client, messageId))
      }
      await waitFor(isOver, {
        timeoutMs: settleTimeoutMs[form],
        what: 'the broadcast to settle',
      }).catch((error: Error) => faults.push(error.message))
      await waitFor(async () => (await client.query(openConfirmations)).rowCount === 0, {
        timeoutMs: settleTimeoutMs[form],
        what: 'the confirmations of the opt-outs',
      }).catch((error: Error) => faults.push(error.message))
      await sampler.stop()
      const {
        counts,
        everUnknown,
        faults: found,
      } = await reconcile(installation, client, { messageId, content, phones })
      faults.push(
        ...sampler.faults.slice(0, 3),
        ...found,
        ...checkOptOuts(installation, content, optOuts, startedAt).faults,
      )
      const optedOut = new Set(optOuts.map(({ phone }) => phone))
      list.phones = phones.filter((phone) => !optedOut.has(phone))
      const { binds, window } = installation.options
      const allowed = (fault.unconfirmedTimes ?? 0) * 2 * binds * window
      if (counts.unknown > allowed) faults.push(`${counts.unknown} rows are still unknown, ${allowed} are allowed`)
      const records = readSubmits(installation, content)
      const longestPauseMs = longestPause(records, repairedAt, records.at(-1)?.time ?? 0)
      if (longestPauseMs > 10_000) faults.push(`${longestPauseMs} ms without a text after the end of the fault`)
      if (injectedAt > (records.at(Math.floor(records.length * 0.9))?.time ?? 0) && fault.inject) {
        faults.push('the fault was injected when more than 90 % of the texts were accepted')
      }
      try {
        await fault.checkEffect?.(run)
      } catch (error) {
        faults.push(`the fault had no effect: ${(error as Error).message}`)
      }
      return {
        faults,
        seconds: (Date.now() - startedAt) / 1_000,
        longestPauseMs,
        unknown: everUnknown - settledBefore,
        optOuts: optOuts.length,
      }
    } finally {
      await client.end()
    }
  } finally {
    await sampler.stop()
    await set({ latency_ms: installation.options.latencyMs }, 'PUT')
  }
}

const roles = ['gateway', 'worker', 'api', 'postmaster', 'supervisor'] as const

const openConfirmations = `select from messages where status = 'sending'
                     union all select from inbound_messages where interpreted_at is null`

/** Opts two subscribers out by API and one by STOP at the same time. */
async function optOutAll(
  installation: Installation,
  listId: number,
  phones: number[],
  timeoutMs: number,
): Promise<OptOut[]> {
  return Promise.all(
    phones.map((phone, n) =>
      n === 1
        ? optOutByStop(installation, phone, { timeoutMs })
        : optOutByApi(installation, listId, phone, { timeoutMs }),
    ),
  )
}

/** Returns the number of receipts that have settled an unknown text, of all broadcasts. */
async function countSettledReceipts(installation: Installation): Promise<number> {
  const client = await installation.connect()
  try {
    const { rows } = await client.query<{ n: string }>(`select count(*) as n from receipts where outcome = 'settled'`)
    return Number(rows[0]?.n)
  } finally {
    await client.end()
  }
}

async function readSimulatorCounts(installation: Installation): Promise<SimulatorCounts> {
  const { body } = await installation.control('GET', '/state')
  const { accepted, rejected, throttled, responses_lost, receipts } = body as {
    accepted: number
    rejected: number
    throttled: number
    responses_lost: number
    receipts: { acknowledged: number }
  }
  return { accepted, rejected, throttled, responsesLost: responses_lost, receiptsAcknowledged: receipts.acknowledged }
}
