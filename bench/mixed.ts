// Whether a text to one person overtakes a list: transactional texts at a steady pace while a large broadcast runs, each
// timed from the client's POST to the moment when the simulator took its submit_sm. Once as fast as everything goes, and
// once behind a carrier's cap, where the broadcast alone would use all there is.

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { readRawFile } from '../server/src/simulator/raw-file.ts'
import { type House, startHouse } from './lib/house.ts'
import { phoneNumber } from './lib/numbers.ts'
import { describeMachine, printTable, round } from './lib/report.ts'
import { expectEqual, makeList, startBroadcast } from './lib/texting.ts'

const p99LimitMs = 250
/** Numbers of the texts to one person: none of them is on the list. */
const firstSingle = 50_000_000
/** How such a text begins, and nothing else does. */
const code = 'Your code is '
const opening = Buffer.from(code).toString('hex')
/** Texts that were posted are taken within this time, or it is said that they were not. */
const patienceMs = 30_000

type Setup = {
  recipients: number
  perSecond: number
  /** The most that is measured; a broadcast that ends before ends the measurement. */
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
  answerP99: number
  broadcastPerSecond: number
}

/** Measures without a cap and with one; the exit code is 1 when the slowest hundredth takes 250 ms or more. */
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
    `${rate} texts a second beside a broadcast to ${numbers.recipients.toLocaleString('en')}, ` +
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
  const house = await startHouse({ binds, window, mps })
  try {
    const { listId } = await makeList(house, recipients)
    const { id, postedAt } = await startBroadcast(house, listId, 'The bridge is open to all again.')
    await untilTexted(house, postedAt)
    const from = Date.now()
    const posted: Posted[] = []
    const stopping = new AbortController()
    const posting = postSteadily(house, perSecond, posted, stopping.signal)
    while (Date.now() - from < seconds * 1_000 && (await isUnderWay(house, listId, id))) await sleep(100)
    const until = Date.now()
    stopping.abort()
    await posting
    if (await isUnderWay(house, listId, id)) await house.call('POST', `/lists/${listId}/messages/${id}/cancel`)

    const found = await untilTaken(house, posted)
    // what was posted when the broadcast had ended has no part in this
    const during = posted.filter((text) => text.sentAt < until)
    const waits = during.map((text) => (found.get(text.content) ?? Number.POSITIVE_INFINITY) - text.sentAt)
    let broadcast = 0
    for (const record of readRawFile(house.rawFile)) {
      if (record.time >= from && record.time < until && !isSingle(record)) broadcast++
    }
    await house.stop()
    return {
      cap: mps === undefined ? 'none' : `${mps}/s`,
      texts: during.length,
      seconds: round((until - from) / 1_000, 1),
      p50: quantile(waits, 0.5),
      p99: quantile(waits, 0.99),
      max: quantile(waits, 1),
      answerP99: quantile(
        during.map((text) => text.answeredAt - text.sentAt),
        0.99,
      ),
      broadcastPerSecond: round((broadcast * 1_000) / (until - from), 0),
    }
  } finally {
    house.remove()
  }
}

type Posted = { content: string; sentAt: number; answeredAt: number }

/** Posts at an even pace, however long an answer takes, until it is told to stop; then waits for the last answers. */
async function postSteadily(house: House, perSecond: number, posted: Posted[], signal: AbortSignal): Promise<void> {
  const from = performance.now()
  const answers: Promise<unknown>[] = []
  for (let n = 0; !signal.aborted; n++) {
    await sleep(Math.max(0, from + (n * 1_000) / perSecond - performance.now()))
    const text: Posted = { content: `${code}${100_000 + n}`, sentAt: Date.now(), answeredAt: Number.POSITIVE_INFINITY }
    posted.push(text)
    const body = { transactional_message: { number: phoneNumber(firstSingle + n), content: text.content } }
    answers.push(
      house.call('POST', '/transactional_messages', body).then(() => {
        text.answeredAt = Date.now()
      }),
    )
  }
  await Promise.all(answers)
}

/** When each of these texts was taken by the simulator; throws when one was taken twice or never. */
async function untilTaken(house: House, posted: Posted[]): Promise<Map<string, number>> {
  const until = Date.now() + patienceMs
  for (;;) {
    const taken = new Map<string, number>()
    let lines = 0
    for (const record of readRawFile(house.rawFile)) {
      if (!isSingle(record)) continue
      lines++
      taken.set(Buffer.from(record.shortMessage, 'hex').toString('latin1'), record.time)
    }
    if (lines >= posted.length || Date.now() > until) {
      expectEqual('texts to one person that the simulator took', lines, posted.length)
      expectEqual('different ones among them', taken.size, posted.length)
      return taken
    }
    await sleep(200)
  }
}

const isSingle = (record: { shortMessage: string }) => record.shortMessage.startsWith(opening)

async function untilTexted(house: House, since: number): Promise<void> {
  for (const until = Date.now() + patienceMs; Date.now() < until; await sleep(20)) {
    for (const { time } of readRawFile(house.rawFile)) if (time >= since) return
  }
  throw new Error('the broadcast did not begin')
}

async function isUnderWay(house: House, listId: number, messageId: number): Promise<boolean> {
  const { message } = await house.call<{ message: { status: string } }>('GET', `/lists/${listId}/messages/${messageId}`)
  return message.status === 'sending'
}

function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.POSITIVE_INFINITY
}
