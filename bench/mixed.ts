// Checks that transactional messages overtake a broadcast: they are posted at a steady rate during a large broadcast, and
// timed from the client's POST to the simulator's acceptance of the submit_sm (promise B6). Measured without a cap, and
// with a cap that the broadcast alone would use up.

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { readRawFile } from '../server/src/simulator/raw-file.ts'
import { type Installation, startInstallation } from './lib/installation.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { expectEqual, makeList, startBroadcast } from './lib/texting.ts'

const p99LimitMs = 250
/** Index of the first number for transactional messages; none of them is on the list. */
const firstRecipient = 50_000_000
/** Prefix of each transactional message, and of no other text. */
const prefix = 'Your code is '
const prefixHex = Buffer.from(prefix).toString('hex')
/** Time limit for the acceptance of all posted messages. */
const timeoutMs = 30_000

type Setup = {
  recipients: number
  perSecond: number
  /** Time limit of the measurement, which also ends with the broadcast. */
  seconds: number
  binds: number
  window: number
  mps: number | undefined
}

type Figures = {
  cap: string
  texts: number
  seconds: number
  p50: number
  p99: number
  max: number
  responseP99: number
  broadcastPerSecond: number
}

/** Measures without a cap and with one; sets exit code 1 if the p99 is 250 ms or more. */
export async function run(args: string[] = process.argv.slice(3)): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      recipients: { type: 'string', default: '680000' },
      rate: { type: 'string', default: '50' },
      seconds: { type: 'string', default: '60' },
      binds: { type: 'string', default: '4' },
      window: { type: 'string', default: '100' },
      mps: { type: 'string', default: 'none,1000' },
    },
  })
  const machine = describeMachine()
  const { mps, rate, ...rest } = values
  const numbers = { recipients: Number(rest.recipients), perSecond: Number(rate), seconds: Number(rest.seconds) }
  const windows = { binds: Number(rest.binds), window: Number(rest.window) }
  console.log(
    `${rate} transactional messages per second during a broadcast to ${numbers.recipients.toLocaleString('en')}, ` +
      `window ${rest.binds} binds x ${rest.window}; ${machine.cores} cores, ${machine.model}, load ${machine.loadBefore}`,
  )
  const figures: Figures[] = []
  for (const cap of mps.split(',')) {
    figures.push(await measure({ ...numbers, ...windows, mps: cap === 'none' ? undefined : Number(cap) }))
  }
  printTable(
    'Milliseconds from POST to submit_sm',
    figures.map((figure) => ({ ...figure, met: figure.p99 < p99LimitMs ? 'yes' : 'NO' })),
  )
  console.log(`\n${JSON.stringify({ bench: 'mixed', machine, ...numbers, ...windows, p99LimitMs, figures })}`)
  if (figures.some(({ p99 }) => p99 >= p99LimitMs)) process.exitCode = 1
}

async function measure({ recipients, perSecond, seconds, binds, window, mps }: Setup): Promise<Figures> {
  const installation = await startInstallation({ binds, window, mps })
  try {
    const { listId } = await makeList(installation, recipients)
    const { id, postedAt } = await startBroadcast(installation, listId, 'The bridge is open to all again.')
    await waitForFirstSubmit(installation, postedAt)
    const from = Date.now()
    const posted: Posted[] = []
    const stopping = new AbortController()
    const posting = postSteadily(installation, perSecond, posted, stopping.signal)
    while (Date.now() - from < seconds * 1_000 && (await isSending(installation, listId, id))) await sleep(100)
    const end = Date.now()
    stopping.abort()
    await posting
    if (await isSending(installation, listId, id))
      await installation.call('POST', `/lists/${listId}/messages/${id}/cancel`)

    const acceptedAt = await waitUntilAccepted(installation, posted)
    // messages posted after the end of the broadcast do not count
    const during = posted.filter((text) => text.sentAt < end)
    const delays = during.map((text) => (acceptedAt.get(text.content) ?? Number.POSITIVE_INFINITY) - text.sentAt)
    let broadcast = 0
    for (const record of readRawFile(installation.rawFile)) {
      if (record.time >= from && record.time < end && !isTransactional(record)) broadcast++
    }
    await installation.stop()
    return {
      cap: mps === undefined ? 'none' : `${mps}/s`,
      texts: during.length,
      seconds: round((end - from) / 1_000, 1),
      p50: quantile(delays, 0.5),
      p99: quantile(delays, 0.99),
      max: quantile(delays, 1),
      responseP99: quantile(
        during.map((text) => text.respondedAt - text.sentAt),
        0.99,
      ),
      broadcastPerSecond: round((broadcast * 1_000) / (end - from), 0),
    }
  } finally {
    installation.remove()
  }
}

type Posted = { content: string; sentAt: number; respondedAt: number }

/** Posts at a steady rate, independent of the response times, until `signal` aborts; then waits for the last responses. */
async function postSteadily(
  installation: Installation,
  perSecond: number,
  posted: Posted[],
  signal: AbortSignal,
): Promise<void> {
  const from = performance.now()
  const responses: Promise<unknown>[] = []
  for (let n = 0; !signal.aborted; n++) {
    await sleep(Math.max(0, from + (n * 1_000) / perSecond - performance.now()))
    const text: Posted = {
      content: `${prefix}${100_000 + n}`,
      sentAt: Date.now(),
      respondedAt: Number.POSITIVE_INFINITY,
    }
    posted.push(text)
    const body = { transactional_message: { number: phoneNumber(firstRecipient + n), content: text.content } }
    responses.push(
      installation.call('POST', '/transactional_messages', body).then(() => {
        text.respondedAt = Date.now()
      }),
    )
  }
  await Promise.all(responses)
}

/**
 * Returns the time at which the simulator accepted each message, by content; throws if one was accepted twice or not in
 * time.
 */
async function waitUntilAccepted(installation: Installation, posted: Posted[]): Promise<Map<string, number>> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const accepted = new Map<string, number>()
    let lines = 0
    for (const record of readRawFile(installation.rawFile)) {
      if (!isTransactional(record)) continue
      lines++
      accepted.set(Buffer.from(record.shortMessage, 'hex').toString('latin1'), record.time)
    }
    if (lines >= posted.length || Date.now() > deadline) {
      expectEqual('transactional messages that the simulator accepted', lines, posted.length)
      expectEqual('distinct messages among them', accepted.size, posted.length)
      return accepted
    }
    await sleep(200)
  }
}

const isTransactional = (record: { shortMessage: string }) => record.shortMessage.startsWith(prefixHex)

async function waitForFirstSubmit(installation: Installation, since: number): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(20)) {
    for (const { time } of readRawFile(installation.rawFile)) if (time >= since) return
  }
  throw new Error('no text of the broadcast was submitted')
}

async function isSending(installation: Installation, listId: number, messageId: number): Promise<boolean> {
  const { message } = await installation.call<{ message: { status: string } }>(
    'GET',
    `/lists/${listId}/messages/${messageId}`,
  )
  return message.status === 'sending'
}

function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.POSITIVE_INFINITY
}
