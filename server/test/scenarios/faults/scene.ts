import type pg from 'pg'
import { waitFor } from '../../wait-for.ts'
import type { Installation } from '../installation.ts'
import { checkOptOuts, type OptOut, optOutByApi, optOutByStop } from '../opt-outs.ts'
import { isSettled, longestStandstill, readSubmits, reconcile, Sampler, SubmitCounter } from '../reconcile.ts'

// A broadcast with one fault and opt-outs at the same time; at the end the message log and the raw file are
// compared. The short form is part of `npm test`, the long form is `npm run test:faults`.

export type Form = 'short' | 'long'

/** The simulator's counters. */
export type CarrierCounts = {
  accepted: number
  refused: number
  throttled: number
  answersLost: number
  receiptsAnswered: number
}

/** A fault during a broadcast. */
export type Fault = {
  name: string
  /** Settings of the carrier from before the broadcast until the end of the fault. */
  carrier?: Record<string, unknown>
  /** A higher latency, so that the broadcast does not end before the fault. */
  latencyMs?: number
  /** Distance in texts from the last accepted one to the first opt-out; nearer texts may be with the carrier already. */
  ahead?: number
  /** How often two windows per bind may become unknown. */
  doubts?: number
  /** Runs before the broadcast. */
  prepare?(installation: Installation): Promise<void>
  /** Injects the fault and returns when it is over. */
  inject?(scene: Scene): Promise<void>
  /** Throws unless the fault had an effect: one without effect has proved nothing. */
  happened?(scene: Scene): Promise<void> | void
}

/** A broadcast with a fault. */
export type Scene = {
  installation: Installation
  form: Form
  messageId: number
  sampler: Sampler
  /** The simulator's counters since the broadcast began. */
  carrier(): Promise<CarrierCounts>
  /** How often a role has logged this since the broadcast began. */
  said(role: 'gateway' | 'worker' | 'api' | 'postmaster', words: string): number
  query<T extends pg.QueryResultRow>(sql: string): Promise<T[]>
  /** Waits until this share of the texts is accepted. */
  untilTaken(share: number): Promise<void>
  /** Waits until every text was submitted. */
  untilTexted(): Promise<void>
  set(settings: Record<string, unknown>): Promise<void>
}

export type Town = { listId: number; phones: number[] }

export type FaultReport = { faults: string[]; seconds: number; standstillMs: number; unknown: number; left: number }

const beginAt = 0.1
const settleMs = { short: 40_000, long: 120_000 } satisfies Record<Form, number>

/** Texts the town during the fault; removes opted-out phones from the town. */
export async function broadcastWith(
  installation: Installation,
  town: Town,
  fault: Fault,
  form: Form,
): Promise<FaultReport> {
  const { listId } = town
  const phones = [...town.phones]
  const content = `${fault.name}: the road is closed`
  const latencyMs = fault.latencyMs ?? installation.options.latencyMs
  const set = async (settings: Record<string, unknown>, method = 'PATCH') => {
    const { status, body } = await installation.control(method, '/settings', settings)
    if (status !== 200) throw new Error(`the simulator rejected ${JSON.stringify(settings)}: ${JSON.stringify(body)}`)
  }
  await set({ latency_ms: latencyMs, receipt_delay_ms: 50, ...fault.carrier }, 'PUT')
  await fault.prepare?.(installation)
  const before = await countsOf(installation)
  const settledBefore = await settledReceipts(installation)
  const logsBefore = new Map(roles.map((role) => [role, installation.log(role).length]))
  const counter = new SubmitCounter(installation)
  const begin = counter.count
  const begun = Date.now()
  const messageId = await installation.broadcast(listId, content)
  const sampler = new Sampler(installation, messageId)
  const scene: Scene = {
    installation,
    form,
    messageId,
    sampler,
    set,
    async carrier() {
      const now = await countsOf(installation)
      return Object.fromEntries(
        Object.entries(now).map(([name, n]) => [name, n - before[name as keyof CarrierCounts]]),
      ) as CarrierCounts
    },
    said: (role, words) => installation.log(role).slice(logsBefore.get(role)).split(words).length - 1,
    async query<T extends pg.QueryResultRow>(sql: string) {
      const client = await installation.connect()
      try {
        return (await client.query<T>(sql)).rows
      } finally {
        await client.end()
      }
    },
    async untilTaken(share) {
      const point = begin + phones.length * share
      await waitFor(() => counter.count >= point, { timeoutMs: settleMs[form], what: `${share} of the texts` })
    },
    async untilTexted() {
      const open = `select from message_totals c join messages m on m.id = c.message_id
                     where c.message_id = ${messageId} and m.status = 'sent' and c.queued + c.submitting = 0`
      await waitFor(async () => (await scene.query(open)).length > 0, { timeoutMs: settleMs[form], what: 'all texts' })
    },
  }
  try {
    await scene.untilTaken(beginAt)
    const injectedAt = Date.now()
    const chosen = [0, 80, 160].map((n) => phones[counter.count - begin + (fault.ahead ?? 5) + n] ?? 0).filter(Boolean)
    const leaving = leave(installation, listId, chosen, settleMs[form])
    leaving.catch(() => {}) // told below
    await fault.inject?.(scene)
    const mendedAt = Date.now()
    const optOuts = await leaving
    if (fault.inject) await set({ latency_ms: latencyMs, receipt_delay_ms: 50 }, 'PUT')
    const client = await waitFor(() => installation.connect(), { timeoutMs: 15_000, what: 'the database to be back' })
    try {
      const faults: string[] = []
      // the carrier may still hold receipts for a connection of which it does not know yet that it is dead
      const isOver = async () => {
        const { owed } = (await installation.control('GET', '/state')).body
        return owed === 0 && (await isSettled(client, messageId))
      }
      await waitFor(isOver, {
        timeoutMs: settleMs[form],
        what: 'the broadcast to settle',
      }).catch((error: Error) => faults.push(error.message))
      await waitFor(async () => (await client.query(openAnswers)).rowCount === 0, {
        timeoutMs: settleMs[form],
        what: 'the answers to those who left',
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
        ...checkOptOuts(installation, content, optOuts, begun).faults,
      )
      const gone = new Set(optOuts.map(({ phone }) => phone))
      town.phones = phones.filter((phone) => !gone.has(phone))
      const { binds, window } = installation.options
      const doubtful = (fault.doubts ?? 0) * 2 * binds * window
      if (counts.unknown > doubtful) faults.push(`${counts.unknown} rows are unknown for good, allowed are ${doubtful}`)
      const records = readSubmits(installation, content)
      const standstillMs = longestStandstill(records, mendedAt, records.at(-1)?.time ?? 0)
      if (standstillMs > 10_000) faults.push(`${standstillMs} ms without a text after it was over`)
      if (injectedAt > (records.at(Math.floor(records.length * 0.9))?.time ?? 0) && fault.inject) {
        faults.push('it came when nearly everybody had been texted')
      }
      try {
        await fault.happened?.(scene)
      } catch (error) {
        faults.push(`the fault had no effect: ${(error as Error).message}`)
      }
      return {
        faults,
        seconds: (Date.now() - begun) / 1_000,
        standstillMs,
        unknown: everUnknown - settledBefore,
        left: optOuts.length,
      }
    } finally {
      await client.end()
    }
  } finally {
    await sampler.stop()
    await set({ latency_ms: installation.options.latencyMs }, 'PUT')
  }
}

const roles = ['gateway', 'worker', 'api', 'postmaster'] as const

const openAnswers = `select from messages where status = 'sending'
                     union all select from inbound_messages where interpreted_at is null`

/** Opts two subscribers out by API and one by STOP at the same time. */
async function leave(
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
async function settledReceipts(installation: Installation): Promise<number> {
  const client = await installation.connect()
  try {
    const { rows } = await client.query<{ n: string }>(`select count(*) as n from receipts where outcome = 'settled'`)
    return Number(rows[0]?.n)
  } finally {
    await client.end()
  }
}

async function countsOf(installation: Installation): Promise<CarrierCounts> {
  const { body } = await installation.control('GET', '/state')
  const { accepted, refused, throttled, answers_lost, receipts } = body as {
    accepted: number
    refused: number
    throttled: number
    answers_lost: number
    receipts: { answered: number }
  }
  return { accepted, refused, throttled, answersLost: answers_lost, receiptsAnswered: receipts.answered }
}
