// Imports a list of generated numbers and sends it a broadcast over the API, as a client does; then compares the result
// with the texts that the simulator accepted and with the message log.

import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { readRawFile } from '../../server/src/simulator/raw-file.ts'
import type { Installation } from './installation.ts'
import { subscribersCsv } from './numbers.ts'

const pollMs = 100
/** Time without progress after which waiting for a broadcast fails. */
const timeoutMs = 60_000

export type ImportFigures = {
  uploadSeconds: number
  applySeconds: number
  rowsPerSecond: number
  uploadRowsPerSecond: number
  applyRowsPerSecond: number
}

export type SendFigures = {
  secondsToFirstSubmit: number
  secondsToLastSubmit: number
  secondsToLastReceipt: number
  messagesPerSecond: number
}

/** Runs a query on the installation's database. */
export type Queryable = { one<T>(sql: string, params?: unknown[]): Promise<T> }

/** Creates a list and imports `recipients` numbers; throws unless all of them were added. */
export async function makeList(
  installation: Installation,
  recipients: number,
): Promise<{ listId: number; imported: ImportFigures }> {
  const { list } = await installation.call<{ list: { id: number } }>('POST', '/lists', { list: { name: 'Bench' } })
  return { listId: list.id, imported: await importNumbers(installation, list.id, recipients) }
}

type ImportView = { import: { id: number; status: string; added: number; error: string | null } }

async function importNumbers(installation: Installation, listId: number, recipients: number): Promise<ImportFigures> {
  const startedAt = performance.now()
  const response = await fetch(`${installation.url}/api/v2/lists/${listId}/imports`, {
    method: 'POST',
    headers: { authorization: installation.authorization, 'content-type': 'text/csv' },
    body: Readable.toWeb(Readable.from(toBytes(subscribersCsv(recipients)))) as ReadableStream<Uint8Array>,
    duplex: 'half',
  })
  const text = await response.text()
  if (response.status !== 202) throw new Error(`the import was rejected with ${response.status}: ${text}`)
  const { id } = (JSON.parse(text) as ImportView).import
  const uploadedAt = performance.now()
  for (;;) {
    const { import: state } = await installation.call<ImportView>('GET', `/lists/${listId}/imports/${id}`)
    if (state.status === 'failed') throw new Error(`the import failed: ${state.error}`)
    if (state.status === 'done') {
      expectEqual('rows added by the import', state.added, recipients)
      break
    }
    await sleep(pollMs)
  }
  const uploadSeconds = (uploadedAt - startedAt) / 1_000
  const applySeconds = (performance.now() - uploadedAt) / 1_000
  return {
    uploadSeconds,
    applySeconds,
    uploadRowsPerSecond: recipients / uploadSeconds,
    applyRowsPerSecond: recipients / applySeconds,
    rowsPerSecond: recipients / (uploadSeconds + applySeconds),
  }
}

function* toBytes(blocks: Iterable<string>): Generator<Buffer> {
  for (const block of blocks) yield Buffer.from(block)
}

type MessageView = {
  message: { status: string; recipient_count: number; success_count: number; pending_count: number }
}

/** Starts a broadcast and returns its id and the time of the POST. */
export async function startBroadcast(installation: Installation, listId: number, content: string) {
  const postedAt = Date.now()
  const { message } = await installation.call<{ message: { id: number } }>('POST', `/lists/${listId}/messages`, {
    message: { content: `${content} ${postedAt % 1_000}` },
  })
  return { id: message.id, postedAt }
}

/** Polls a broadcast like a client until no recipient is open; returns that time. */
export async function waitUntilClosed(installation: Installation, listId: number, messageId: number): Promise<number> {
  for (let progressAt = Date.now(), lastSuccess = -1; ; await sleep(pollMs)) {
    const { message } = await installation.call<MessageView>('GET', `/lists/${listId}/messages/${messageId}`)
    const now = Date.now()
    if (message.status === 'sent' && message.pending_count === 0) return now
    if (message.success_count !== lastSuccess) progressAt = now
    lastSuccess = message.success_count
    if (now - progressAt > timeoutMs) throw new Error(`no progress for a minute: ${JSON.stringify(message)}`)
  }
}

/** Sends a broadcast to the list and waits until no recipient is open; throws unless each recipient received it once. */
export async function sendToList(
  installation: Installation,
  database: Queryable,
  listId: number,
  { recipients, content }: { recipients: number; content: string },
): Promise<SendFigures> {
  const { id, postedAt } = await startBroadcast(installation, listId, content)
  const closedAt = await waitUntilClosed(installation, listId, id)
  const { first, last } = checkRawFile(installation.rawFile, postedAt, recipients)
  await checkLog(database, id, recipients)
  const secondsToLastReceipt = (closedAt - postedAt) / 1_000
  return {
    secondsToFirstSubmit: (first - postedAt) / 1_000,
    secondsToLastSubmit: (last - postedAt) / 1_000,
    secondsToLastReceipt,
    messagesPerSecond: recipients / secondsToLastReceipt,
  }
}

/**
 * Throws unless the simulator accepted one text per recipient since `since`; returns the times of the first and the
 * last text.
 */
export function checkRawFile(path: string, since: number, recipients: number): { first: number; last: number } {
  const destinations = new Set<string>()
  let lines = 0
  let first = Number.POSITIVE_INFINITY
  let last = 0
  for (const { time, destination } of readRawFile(path)) {
    if (time < since) continue
    lines++
    destinations.add(destination)
    first = Math.min(first, time)
    last = Math.max(last, time)
  }
  expectEqual('texts that the simulator accepted', lines, recipients)
  expectEqual('distinct destinations of these texts', destinations.size, recipients)
  return { first, last }
}

/** Throws unless the log contains every recipient as delivered and the counters match the log. */
async function checkLog(database: Queryable, messageId: number, recipients: number): Promise<void> {
  const counted = await database.one<Record<string, number>>(
    /* sql */ `
    select count(*)::int as audience, (count(*) filter (where state = 'delivered'))::int as delivered
      from message_log where message_id = $1`,
    [messageId],
  )
  const counters = await database.one<Record<string, number>>(
    /* sql */ `
    select audience::int, delivered::int,
           (queued + submitting + sent + unknown + bounced + expired + suppressed + cancelled)::int as others
      from message_totals where message_id = $1`,
    [messageId],
  )
  expectEqual('rows of the message log', counted.audience, recipients)
  expectEqual('delivered rows of the message log', counted.delivered, recipients)
  expectEqual('audience by the counters', counters.audience, recipients)
  expectEqual('delivered by the counters', counters.delivered, recipients)
  expectEqual('other states by the counters', counters.others, 0)
}

export function expectEqual(name: string, found: number | undefined, expected: number): void {
  if (found !== expected) throw new Error(`${name}: ${found}, expected ${expected}`)
}
