import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import type pg from 'pg'
import { type State, states } from '../../src/log/transitions.ts'
import { type RawRecord, readRawFile } from '../../src/simulator/raw-file.ts'
import { fromSmppAddress } from '../../src/sms/phone-number.ts'
import type { Installation } from './installation.ts'

// Compares the message log with the texts that the carrier accepted, which are in the simulator's raw file.

type Counters = Record<State | 'audience', number>

/** Returns the accepted submits with this content, in order. */
export function readSubmits(installation: Installation, content: string): RawRecord[] {
  const wanted = Buffer.from(content, 'latin1').toString('hex')
  return [...readRawFile(installation.rawFile)].filter((record) => record.shortMessage === wanted)
}

export const phoneOf = (record: RawRecord) => fromSmppAddress(record.destination) ?? 0

/** Counts the texts that the carrier has accepted; each call reads only the new part of the raw file. */
export class SubmitCounter {
  readonly #path: string
  #offset = 0
  #lines = 0
  readonly #chunk = Buffer.alloc(64 * 1024)

  constructor(installation: Installation) {
    this.#path = installation.rawFile
  }

  get count(): number {
    if (!existsSync(this.#path)) return 0
    const fd = openSync(this.#path, 'r')
    try {
      for (let read = 1; read > 0; this.#offset += read) {
        read = readSync(fd, this.#chunk, 0, this.#chunk.length, this.#offset)
        for (let at = 0; at < read; at++) if (this.#chunk[at] === 0x0a) this.#lines++
      }
    } finally {
      closeSync(fd)
    }
    return this.#lines
  }
}

/** Checks promise B1 in one snapshot; returns its violations, one sentence each, and the counts. */
export async function checkCounts(client: pg.Client, messageId: number) {
  await client.query('begin isolation level repeatable read, read only')
  const counters = (await client.query<Counters>('select * from message_totals where message_id = $1', [messageId]))
    .rows[0]
  const groups = (
    await client.query<{ state: State; n: string }>(
      'select state, count(*) as n from message_log where message_id = $1 group by state',
      [messageId],
    )
  ).rows
  await client.query('commit')
  if (!counters) return { faults: ['the message has no counters'], counts: undefined }
  const rows = new Map(groups.map(({ state, n }) => [state, Number(n)]))
  const total = [...rows.values()].reduce((sum, n) => sum + n, 0)
  const counts = Object.fromEntries(states.map((state) => [state, Number(counters[state])])) as Record<State, number>
  const sum = Object.values(counts).reduce((a, b) => a + b, 0)
  const audience = Number(counters.audience)
  const faults = states
    .filter((state) => counts[state] !== (rows.get(state) ?? 0))
    .map((state) => `${state}: counters ${counts[state]}, rows in the log ${rows.get(state) ?? 0}`)
  if (audience !== sum) faults.push(`audience ${audience}, sum of the states ${sum}`)
  if (audience !== total) faults.push(`audience ${audience}, rows in the log ${total}`)
  return { faults, counts: { ...counts, audience } }
}

const sampleEveryMs = 60

/** Checks promise B1 repeatedly while processes are killed. */
export class Sampler {
  readonly #installation: Installation
  readonly #messageId: number
  #stopping = false
  readonly #done: Promise<void>
  readonly faults: string[] = []
  samples = 0
  mostUnknown = 0

  constructor(installation: Installation, messageId: number) {
    this.#installation = installation
    this.#messageId = messageId
    this.#done = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#done
  }

  async #run(): Promise<void> {
    let client: pg.Client | undefined
    while (!this.#stopping) {
      try {
        client ??= await this.#installation.connect()
        const { faults, counts } = await checkCounts(client, this.#messageId)
        this.samples++
        this.mostUnknown = Math.max(this.mostUnknown, counts?.unknown ?? 0)
        if (faults.length > 0) this.faults.push(`sample ${this.samples}: ${faults.join('; ')}`)
      } catch {
        // PostgreSQL is down; the number of samples shows whether any check succeeded
        await client?.end().catch(() => {})
        client = undefined
      }
      await new Promise((resolve) => setTimeout(resolve, sampleEveryMs))
    }
    await client?.end()
  }
}

export type Reconciliation = {
  counts: Counters
  /** Violations of promises B1 and B2, one sentence each. */
  faults: string[]
  accepted: number
  /** Number of rows that were unknown at any time. */
  everUnknown: number
}

/** Returns whether every row is closed or unknown and no receipt waits. */
export async function isSettled(client: pg.Client, messageId: number): Promise<boolean> {
  const { rows } = await client.query(
    `select from message_totals c join messages m on m.id = c.message_id
      where c.message_id = $1 and m.status = 'sent' and c.queued + c.submitting + c.sent = 0
        and not exists (select from receipts where outcome = 'waiting')`,
    [messageId],
  )
  return rows.length > 0
}

/**
 * Compares the log with the raw file after a broadcast. The simulator must send receipts for all accepted texts, with
 * our reference.
 */
export async function reconcile(
  installation: Installation,
  client: pg.Client,
  broadcast: { messageId: number; content: string; phones: readonly number[] },
): Promise<Reconciliation> {
  const { messageId, content, phones } = broadcast
  const { faults, counts } = await checkCounts(client, messageId)
  const acceptedByPhone = new Map<number, number>()
  for (const record of readSubmits(installation, content)) {
    const phone = phoneOf(record)
    acceptedByPhone.set(phone, (acceptedByPhone.get(phone) ?? 0) + 1)
  }
  const log = await client.query<{ phone: string; state: State }>(
    'select phone, state from message_log where message_id = $1',
    [messageId],
  )
  const stateByPhone = new Map(log.rows.map((row) => [Number(row.phone), row.state]))

  const report = (fault: string, affected: number[]) => {
    if (affected.length > 0) {
      faults.push(`${affected.length} ${fault}: ${affected.slice(0, 5).map(masked).join(', ')}`)
    }
  }
  const audience = new Set(phones)
  const isAccepted = (phone: number) => acceptedByPhone.has(phone)
  const inState = (...wanted: State[]) => phones.filter((phone) => wanted.includes(stateByPhone.get(phone) ?? 'queued'))
  report(
    'accepted more than once',
    [...acceptedByPhone].filter(([, n]) => n > 1).map(([phone]) => phone),
  )
  report(
    'accepted, but not in the audience',
    [...acceptedByPhone.keys()].filter((phone) => !audience.has(phone)),
  )
  report(
    'without a row in the log',
    phones.filter((phone) => !stateByPhone.has(phone)),
  )
  report('with more than one row', log.rows.length > stateByPhone.size ? [0] : [])
  for (const state of ['queued', 'submitting', 'sent'] as const) report(`still ${state}`, inState(state))
  report('accepted, but suppressed or cancelled in the log', inState('suppressed', 'cancelled').filter(isAccepted))
  report('accepted and receipted, but unknown in the log', inState('unknown').filter(isAccepted))
  report(
    'delivered in the log, but never accepted',
    inState('delivered').filter((phone) => !isAccepted(phone)),
  )
  report('bounced or expired without a rejection', inState('bounced', 'expired'))

  const settled = await client.query<{ n: string }>(`select count(*) as n from receipts where outcome = 'settled'`)
  const unknown = counts?.unknown ?? 0
  return {
    counts: counts ?? ({} as Counters),
    faults,
    accepted: [...acceptedByPhone.values()].reduce((sum, n) => sum + n, 0),
    everUnknown: unknown + Number(settled.rows[0]?.n),
  }
}

/** Returns the longest time between two accepted texts between the times `after` and `until`. */
export function longestPause(records: readonly RawRecord[], after: number, until: number): number {
  let longest = 0
  let last = after
  for (const { time } of records) {
    if (time <= after) continue
    longest = Math.max(longest, Math.min(time, until) - last)
    if (time > until) break
    last = time
  }
  return longest
}

export const masked = (phone: number) => `...${String(phone).slice(-4)}`
