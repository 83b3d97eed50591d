// A list of made-up numbers, and a text to all of it: done over the API as a client would, and checked afterwards against
// what the simulator took and what the log says.

import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { readRawFile } from '../../server/src/simulator/raw-file.ts'
import type { House } from './house.ts'
import { subscribersCsv } from './numbers.ts'

const pollMs = 100
/** A broadcast of which nothing has moved for so long is given up. */
const patienceMs = 60_000

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

/** Something that can answer a question about the house's database. */
export type Asker = { one<T>(sql: string, params?: unknown[]): Promise<T> }

/** Makes a list and brings so many numbers into it; throws unless all of them are there. */
export async function makeList(house: House, recipients: number): Promise<{ listId: number; imported: ImportFigures }> {
  const { list } = await house.call<{ list: { id: number } }>('POST', '/lists', { list: { name: 'Bench' } })
  return { listId: list.id, imported: await importNumbers(house, list.id, recipients) }
}

type ImportView = { import: { id: number; status: string; added: number; error: string | null } }

async function importNumbers(house: House, listId: number, recipients: number): Promise<ImportFigures> {
  const startedAt = performance.now()
  const response = await fetch(`${house.url}/api/v2/lists/${listId}/imports`, {
    method: 'POST',
    headers: { authorization: house.authorization, 'content-type': 'text/csv' },
    body: Readable.toWeb(Readable.from(toBytes(subscribersCsv(recipients)))) as ReadableStream<Uint8Array>,
    duplex: 'half',
  })
  const text = await response.text()
  if (response.status !== 202) throw new Error(`the import was answered with ${response.status}: ${text}`)
  const { id } = (JSON.parse(text) as ImportView).import
  const uploadedAt = performance.now()
  for (;;) {
    const { import: now } = await house.call<ImportView>('GET', `/lists/${listId}/imports/${id}`)
    if (now.status === 'failed') throw new Error(`the import failed: ${now.error}`)
    if (now.status === 'done') {
      expectEqual('rows added by the import', now.added, recipients)
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

/** Starts a broadcast and answers its id and when it was posted. */
export async function startBroadcast(house: House, listId: number, content: string) {
  const postedAt = Date.now()
  const { message } = await house.call<{ message: { id: number } }>('POST', `/lists/${listId}/messages`, {
    message: { content: `${content} ${postedAt % 1_000}` },
  })
  return { id: message.id, postedAt }
}

/** Watches a broadcast as a client would until no recipient is open; answers when that was. */
export async function untilClosed(house: House, listId: number, messageId: number): Promise<number> {
  for (let quietSince = Date.now(), lastSuccess = -1; ; await sleep(pollMs)) {
    const { message } = await house.call<MessageView>('GET', `/lists/${listId}/messages/${messageId}`)
    const now = Date.now()
    if (message.status === 'sent' && message.pending_count === 0) return now
    if (message.success_count !== lastSuccess) quietSince = now
    lastSuccess = message.success_count
    if (now - quietSince > patienceMs) throw new Error(`nothing has moved for a minute: ${JSON.stringify(message)}`)
  }
}

/** Sends one text to the list, waits until no recipient is open, and throws unless each has had it once. */
export async function textList(
  house: House,
  database: Asker,
  listId: number,
  { recipients, content }: { recipients: number; content: string },
): Promise<SendFigures> {
  const { id, postedAt } = await startBroadcast(house, listId, content)
  const closedAt = await untilClosed(house, listId, id)
  const { first, last } = checkRawFile(house.rawFile, postedAt, recipients)
  await checkLog(database, id, recipients)
  const secondsToLastReceipt = (closedAt - postedAt) / 1_000
  return {
    secondsToFirstSubmit: (first - postedAt) / 1_000,
    secondsToLastSubmit: (last - postedAt) / 1_000,
    secondsToLastReceipt,
    messagesPerSecond: recipients / secondsToLastReceipt,
  }
}

/** What the simulator took since then: one text per recipient, no more, no less; answers when the first and last came. */
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
  expectEqual('texts that the simulator took', lines, recipients)
  expectEqual('numbers that it took them for', destinations.size, recipients)
  return { first, last }
}

/** The log has every recipient as delivered, and the counters say what the log says. */
async function checkLog(database: Asker, messageId: number, recipients: number): Promise<void> {
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
      from message_counters where message_id = $1`,
    [messageId],
  )
  expectEqual('rows of the log', counted.audience, recipients)
  expectEqual('rows of the log that are delivered', counted.delivered, recipients)
  expectEqual('the audience by its counter', counters.audience, recipients)
  expectEqual('the delivered by their counter', counters.delivered, recipients)
  expectEqual('all others by their counters', counters.others, 0)
}

export function expectEqual(what: string, found: number | undefined, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found}, and should be ${expected}`)
}
