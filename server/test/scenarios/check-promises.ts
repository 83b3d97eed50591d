import type pg from 'pg'
import type { State } from '../../src/log/transitions.ts'
import { type RawRecord, readRawFile } from '../../src/simulator/raw-file.ts'
import type { Installation } from './installation.ts'
import { checkCounts, masked, phoneOf } from './reconcile.ts'
import type { Broadcast, RequestedOptOut, Traffic } from './traffic.ts'

// Compares the message log with the texts that the carrier accepted, phone by phone.

export type PromiseReport = {
  faults: string[]
  /** Number of log rows by state, over all messages. */
  states: Record<string, number>
  acceptedTexts: number
  /** Number of opt-outs whose response promised that they were in force. */
  promisedOptOuts: number
}

const maxConfirmations = 2 // an MO is sent again if the gateway was killed between storing it and acknowledging it

/** Selects one row when every message is closed and no receipt or MO is pending. */
export const settledSql = /* sql */ `
  select 1 where not exists (select from messages where status = 'sending')
             and not exists (select from message_totals where queued + submitting + sent > 0)
             and not exists (select from receipts where outcome = 'waiting')
             and not exists (select from inbound_messages where interpreted_at is null)`

/** Compares everything that the API promised with all texts that the carrier accepted. */
export async function checkPromises(
  installation: Installation,
  client: pg.Client,
  traffic: Traffic,
): Promise<PromiseReport> {
  const faults = [...traffic.faults]
  const recordsByContent = new Map<string, RawRecord[]>()
  let acceptedTexts = 0
  for (const record of readRawFile(installation.rawFile)) {
    acceptedTexts++
    const content = Buffer.from(record.shortMessage, 'hex').toString('latin1')
    const records = recordsByContent.get(content)
    if (records) records.push(record)
    else recordsByContent.set(content, [record])
  }
  const states: Record<string, number> = {}
  const optOutByPhone = new Map(traffic.optOuts.map((optOut) => [optOut.phone, optOut]))

  for (const broadcast of traffic.broadcasts) {
    const records = recordsByContent.get(broadcast.content) ?? []
    const found = await checkBroadcast(client, broadcast, records, optOutByPhone, states)
    faults.push(...found.map((fault) => `message ${broadcast.messageId}: ${fault}`))
  }

  const rows = await client.query<{ id: number; state: State; phone: string }>(
    'select message_id as id, state, phone from message_log where message_id = any($1::bigint[])',
    [traffic.singleTexts.map(({ messageId }) => messageId)],
  )
  const rowById = new Map(rows.rows.map((row) => [Number(row.id), row]))
  if (rows.rows.length !== rowById.size) faults.push('a single text has more than one row')
  for (const { messageId, content, phone } of traffic.singleTexts) {
    const row = rowById.get(messageId)
    const count = recordsByContent.get(content)?.length ?? 0
    states[row?.state ?? 'missing'] = (states[row?.state ?? 'missing'] ?? 0) + 1
    const isCorrect = count === 1 ? row?.state === 'delivered' : count === 0 && row?.state === 'unknown'
    if (!isCorrect) faults.push(`${masked(phone)} was sent a single text ${count} times, and its row is ${row?.state}`)
  }
  const sentContents = new Set([...traffic.broadcasts, ...traffic.singleTexts].map(({ content }) => content))
  for (const [content, records] of recordsByContent) {
    if (sentContents.has(content)) continue
    for (const [phone, count] of countByPhone(records)) {
      if (optOutByPhone.get(phone)?.by !== 'stop') faults.push(`${masked(phone)} was sent an unknown text: ${content}`)
      else if (count > maxConfirmations) faults.push(`${masked(phone)} was sent ${count} confirmations`)
    }
  }
  const promisedOptOuts = traffic.optOuts.filter(({ inForceAt }) => inForceAt !== undefined).length
  return { faults, states, acceptedTexts, promisedOptOuts }
}

async function checkBroadcast(
  client: pg.Client,
  { messageId, list }: Broadcast,
  records: RawRecord[],
  optOutByPhone: ReadonlyMap<number, RequestedOptOut>,
  states: Record<string, number>,
): Promise<string[]> {
  const { faults } = await checkCounts(client, messageId)
  const log = await client.query<{ phone: string; state: State }>(
    'select phone, state from message_log where message_id = $1',
    [messageId],
  )
  const { rows: accepted } = await client.query<{ at: Date }>('select accepted_at as at from messages where id = $1', [
    messageId,
  ])
  const acceptedAt = accepted[0]?.at.getTime() ?? 0
  const stateByPhone = new Map(log.rows.map((row) => [Number(row.phone), row.state]))
  for (const { state } of log.rows) states[state] = (states[state] ?? 0) + 1
  if (log.rows.length !== stateByPhone.size) faults.push('a phone has more than one row')
  const counts = countByPhone(records)

  const phonesByFault = new Map<string, number[]>()
  const add = (fault: string, phone: number) => phonesByFault.set(fault, [...(phonesByFault.get(fault) ?? []), phone])
  for (const phone of list.phones) {
    const state = stateByPhone.get(phone)
    const count = counts.get(phone) ?? 0
    const optOut = optOutByPhone.get(phone)
    const isInAudience = optOut === undefined || optOut.requestedAt > acceptedAt
    if (count > 1) add('accepted more than once', phone)
    if (state === undefined && isInAudience) add('not in the audience', phone)
    if (count === 0 && (state === 'delivered' || state === 'sent'))
      add(`${state} in the log, but never accepted`, phone)
    if (count > 0 && state !== 'delivered') add(`accepted, but ${state ?? 'missing'} in the log`, phone)
    if (count === 0 && state === 'suppressed' && optOut === undefined) add('suppressed without an opt-out', phone)
    if (state && ['queued', 'submitting', 'bounced', 'expired', 'cancelled'].includes(state)) add(state, phone)
  }
  for (const record of records) {
    const optOut = optOutByPhone.get(phoneOf(record))
    if (optOut?.inForceAt !== undefined && record.time > optOut.inForceAt) {
      add(`texted ${record.time - optOut.inForceAt} ms after their ${optOut.by} was in force`, phoneOf(record))
    }
  }
  const listed = new Set(list.phones)
  for (const phone of counts.keys()) if (!listed.has(phone)) add('texted, but not on the list', phone)
  return [
    ...faults,
    ...[...phonesByFault].map(
      ([fault, phones]) => `${phones.length} ${fault}: ${phones.slice(0, 5).map(masked).join(', ')}`,
    ),
  ]
}

function countByPhone(records: readonly RawRecord[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const record of records) counts.set(phoneOf(record), (counts.get(phoneOf(record)) ?? 0) + 1)
  return counts
}
