// Maximum throughput of the simulator, to distinguish it from the product's: our own session as the client, the simulator
// in a separate process, no latency, a receipt for every message. Prints a table and a line of JSON.

import { readFileSync, statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { connect } from '../server/src/smpp/client.ts'
import { submitSm } from '../server/src/smpp/pdu/pdu.ts'
import type { Session } from '../server/src/smpp/session.ts'
import { startSimulatorProcess } from './lib/simulator-process.ts'

const TICKS_PER_SECOND = 100
const WINDOW = 100

type Figures = {
  messages: number
  binds: number
  window: number
  receiptDelayMs: number
  seconds: number
  messagesPerSecond: number
  receiptsAcknowledged: number
  simulatorCpuSeconds: number
  simulatorCpuMicrosecondsPerMessage: number
  simulatorPeakMb: number
  rawFileMb: number
}

/** Sends `messages` messages over `binds` binds and waits for the last receipt. */
export async function run({
  messages = 500_000,
  binds = 4,
  receiptDelayMs = 200,
  rate = Infinity,
} = {}): Promise<Figures> {
  const simulator = await startSimulatorProcess({ receiptDelayMs })
  const { pid, smppPort } = simulator
  try {
    const sessions: Session[] = []
    for (let i = 0; i < binds; i++) {
      const credentials = { system_id: 'bench', password: 'bench' }
      sessions.push(await connect({ host: '127.0.0.1', port: smppPort, ...credentials, window: WINDOW }))
    }
    const peak = watchMemory(pid)
    const cpuBefore = cpuSeconds(pid)
    const startedAt = performance.now()
    const receiptsAcknowledged = await sendAll(sessions, messages, rate)
    const seconds = (performance.now() - startedAt) / 1_000
    const simulatorCpuSeconds = cpuSeconds(pid) - cpuBefore
    const rawFileMb = statSync(simulator.rawFile).size / 1e6
    const simulatorPeakMb = peak()
    await Promise.all(sessions.map((session) => session.unbind()))
    return {
      messages,
      binds,
      window: WINDOW,
      receiptDelayMs,
      seconds,
      messagesPerSecond: messages / seconds,
      receiptsAcknowledged,
      simulatorCpuSeconds,
      simulatorCpuMicrosecondsPerMessage: (simulatorCpuSeconds * 1e6) / messages,
      simulatorPeakMb,
      rawFileMb,
    }
  } finally {
    simulator.stop()
  }
}

function sendAll(sessions: Session[], messages: number, rate: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const due = () => Math.min(messages, ((performance.now() - startedAt) * rate) / 1_000 + 1)
    let sent = 0
    let responses = 0
    let receipts = 0
    const fills: (() => void)[] = []
    const pace = setInterval(() => fills.forEach((fill) => void fill()), 1)
    const finish = () => {
      clearInterval(pace)
      resolve(receipts)
    }
    const short_message = Buffer.from('Doors open at seven tonight. Bring a friend and this text. Reply STOP to end')
    for (const session of sessions) {
      const onResponse = () => {
        responses++
      }
      const fill = () => {
        for (const limit = due(); session.free > 0 && sent < limit; sent++) {
          const destination_addr = String(12_126_000_000 + sent)
          const tlvs = { user_message_reference: sent & 0xffff }
          const pdu = submitSm({ source_addr: '12345', destination_addr, short_message, registered_delivery: 1, tlvs })
          session.request(pdu, onResponse)
        }
      }
      session.on('request', (pdu) => {
        session.respond(pdu)
        if (++receipts === messages && responses === messages) finish()
      })
      session.on('drain', fill)
      fills.push(fill)
      session.on('close', (reason) => reject(new Error(`bind closed: ${reason}`)))
      fill()
    }
  })
}

function cpuSeconds(pid: number): number {
  // fields 14 and 15, counted after the name, which may contain blanks
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Samples the private memory of the process; the returned function stops the sampling and returns the peak in MB. */
function watchMemory(pid: number): () => number {
  let peak = 0
  const timer = setInterval(() => {
    const anonymous = /^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
    peak = Math.max(peak, Number(anonymous) / 1024)
  }, 50)
  return () => {
    clearInterval(timer)
    return peak
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      messages: { type: 'string', default: '500000' },
      binds: { type: 'string', default: '4' },
      'receipt-delay': { type: 'string', default: '200' },
      // messages per second; unlimited by default
      rate: { type: 'string', default: 'Infinity' },
    },
  })
  const figures = await run({
    messages: Number(values.messages),
    binds: Number(values.binds),
    receiptDelayMs: Number(values['receipt-delay']),
    rate: Number(values.rate),
  })
  console.table(figures)
  console.log(JSON.stringify({ bench: 'simulator', ...figures }))
}
