import type pg from 'pg'
import type { State } from '../../src/log/transitions.ts'
import { type RawRecord, readRawFile } from '../../src/simulator/raw-file.ts'
import type { Installation } from './installation.ts'
import { checkCounts, masked, phoneOf } from './reconcile.ts'
import type { Broadcast, Traffic } from './traffic.ts'

// Compares every message's log with the texts that the carrier accepted, phone by phone.

export type PromiseReport = {
  faults: string[]
  /** Rows of the log by their state, over all messages. */
  states: Record<string, number>
  texts: number
  /** Number of opt-outs that were promised to be in force. */
  promised: number
}

const confirmations = 2 // an MO that was stored, and whose answer was lost with the gateway, comes once more

/** True when every message is closed and no receipt or MO waits. */
export const isQuiet = /* sql */ `
  select 1 where not exists (select from messages where status = 'sending')
             and not exists (select from message_totals where queued + submitting + sent > 0)
             and not exists (select from receipts where outcome = 'waiting')
             and not exists (select from inbound_messages where interpreted_at is null)`

/** Compares all promises with all accepted texts. */
export async function checkPromises(
  installation: Installation,
  client: pg.Client,
  traffic: Traffic,
): Promise<PromiseReport> {
  const faults = [...traffic.faults]
  const taken = new Map<string, RawRecord[]>()
  let texts = 0
  for (const record of readRawFile(installation.rawFile)) {
    texts++
    const content = Buffer.from(record.shortMessage, 'hex').toString('latin1')
    const records = taken.get(content)
    if (records) records.push(record)
    else taken.set(content, [record])
  }
  const states: Record<string, number> = {}
  const left = new Map(traffic.departures.map((departure) => [departure.phone, departure]))

  for (const broadcast of traffic.broadcasts) {
    const told = await checkBroadcast(client, broadcast, taken.get(broadcast.content) ?? [], left, states)
    faults.push(...told.map((fault) => `message ${broadcast.messageId}: ${fault}`))
  }

  const rows = await client.query<{ id: number; state: State; phone: string }>(
    'select message_id as id, state, phone from message_log where message_id = any($1::bigint[])',
    [traffic.singles.map(({ messageId }) => messageId)],
  )
  const rowOf = new Map(rows.rows.map((row) => [Number(row.id), row]))
  if (rows.rows.length !== rowOf.size) faults.push('a text to one person has more than one row')
  for (const { messageId, content, phone } of traffic.singles) {
    const row = rowOf.get(messageId)
    const times = taken.get(content)?.length ?? 0
    states[row?.state ?? 'missing'] = (states[row?.state ?? 'missing'] ?? 0) + 1
    const isRight = times === 1 ? row?.state === 'delivered' : times === 0 && row?.state === 'unknown'
    if (!isRight) faults.push(`${masked(phone)} got a single text ${times} times, and its row is ${row?.state}`)
  }
  const known = new Set([...traffic.broadcasts, ...traffic.singles].map(({ content }) => content))
  for (const [content, records] of taken) {
    if (known.has(content)) continue
    const times = new Map<number, number>()
    for (const record of records) times.set(phoneOf(record), (times.get(phoneOf(record)) ?? 0) + 1)
    for (const [phone, n] of times) {
      if (left.get(phone)?.by !== 'stop') faults.push(`nobody promised ${masked(phone)} the text ${content}`)
      else if (n > confirmations) faults.push(`${masked(phone)} had ${n} confirmations`)
    }
  }
  const promised = traffic.departures.filter(({ inForceAt }) => inForceAt !== undefined).length
  return { faults, states, texts, promised }
}

async function checkBroadcast(
  client: pg.Client,
  { messageId, town, postedAt }: Broadcast,
  records: RawRecord[],
  left: Traffic['departures'] extends Array<infer D> ? Map<number, D> : never,
  states: Record<string, number>,
): Promise<string[]> {
  const { faults } = await checkCounts(client, messageId)
  const log = await client.query<{ phone: string; state: State }>(
    'select phone, state from message_log where message_id = $1',
    [messageId],
  )
  const stateOf = new Map(log.rows.map((row) => [Number(row.phone), row.state]))
  for (const { state } of log.rows) states[state] = (states[state] ?? 0) + 1
  if (log.rows.length !== stateOf.size) faults.push('a number has more than one row')
  const times = new Map<number, number>()
  for (const record of records) times.set(phoneOf(record), (times.get(phoneOf(record)) ?? 0) + 1)

  const wrong = new Map<string, number[]>()
  const tell = (what: string, phone: number) => wrong.set(what, [...(wrong.get(what) ?? []), phone])
  for (const phone of town.phones) {
    const state = stateOf.get(phone)
    const n = times.get(phone) ?? 0
    if (n > 1) tell('texted more than once', phone)
    const goes = left.get(phone)
    if (state === undefined && (goes === undefined || goes.askedAt > postedAt)) tell('not in the audience', phone)
    if (n === 0 && (state === 'delivered' || state === 'sent')) tell(`${state} in the log, but never taken`, phone)
    if (n > 0 && state !== 'delivered') tell(`taken, but ${state ?? 'missing'} in the log`, phone)
    if (n === 0 && state === 'suppressed' && goes === undefined) tell('suppressed, though they never left', phone)
    if (state && ['queued', 'submitting', 'bounced', 'expired', 'cancelled'].includes(state)) tell(state, phone)
  }
  for (const record of records) {
    const goes = left.get(phoneOf(record))
    if (goes?.inForceAt !== undefined && record.time > goes.inForceAt) {
      tell(`texted ${record.time - goes.inForceAt} ms after their ${goes.by} was in force`, phoneOf(record))
    }
  }
  const audience = new Set(town.phones)
  for (const phone of times.keys()) if (!audience.has(phone)) tell('texted, but not of this town', phone)
  return [
    ...faults,
    ...[...wrong].map(([what, who]) => `${who.length} ${what}: ${who.slice(0, 5).map(masked).join(', ')}`),
  ]
}
