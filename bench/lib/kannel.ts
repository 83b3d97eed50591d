// Kannel, a widely used SMS gateway, on the same task and the same simulator, configured for speed and for a fair
// comparison: its queue is filled while it cannot reach the simulator, so that its HTTP intake is not measured; it uses
// its store file, requests receipts, and has our numbers of binds and window slots. It calls no webhooks.

import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkPort } from '../../server/src/supervisor/port.ts'
import { phoneNumber } from './numbers.ts'
import { type SimulatorProcess, startSimulatorProcess } from './simulator-process.ts'
import { checkRawFile, expectEqual } from './texting.ts'

const senders = 16
const startMs = 15_000
const timeoutMs = 120_000

export type KannelOptions = { messages: number; binds: number; window: number; content: string }

export type KannelFigures = {
  messages: number
  /** From the first to the last accepted submit_sm. */
  secondsToLastSubmit: number
  /** From the first accepted submit_sm to the last deliver_sm_resp of Kannel. */
  secondsToLastReceipt: number
  messagesPerSecond: number
}

type Ports = { admin: number; box: number; http: number }

/** Returns the paths of Kannel's two programs; undefined if it is not installed. */
export function findKannel(): { bearerbox: string; smsbox: string } | undefined {
  const bearerbox = findProgram('bearerbox')
  const smsbox = findProgram('smsbox')
  return bearerbox && smsbox ? { bearerbox, smsbox } : undefined
}

function findProgram(name: string): string | undefined {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // not in this folder
    }
  }
}

/**
 * Queues `messages` messages in Kannel, connects it to a simulator with the product's settings and without other load, and
 * waits for the last receipt.
 */
export async function runKannel({ messages, binds, window, content }: KannelOptions): Promise<KannelFigures> {
  const programs = findKannel()
  if (!programs) throw new Error('Kannel is not installed')
  const folder = mkdtempSync(join(tmpdir(), 'carillon-kannel-'))
  const running: ChildProcess[] = []
  const simulator = await startSimulatorProcess()
  const run = (program: string, configuration: string) => {
    const child = spawn(program, [configuration], { stdio: 'ignore' })
    running.push(child)
    return child
  }
  try {
    const ports = { admin: await freePort(), box: await freePort(), http: await freePort() }
    const configure = (name: string, smppPort: number) => {
      const path = join(folder, name)
      writeFileSync(path, configuration({ folder, ports, smppPort, binds, window }))
      return path
    }
    const offline = configure('offline.conf', await freePort()) // no server listens on this port
    const first = run(programs.bearerbox, offline)
    await waitUntilUp(`http://127.0.0.1:${ports.admin}/status.txt?password=bench`)
    run(programs.smsbox, offline)
    await waitUntilUp(`http://127.0.0.1:${ports.http}/`)
    await fillQueue(ports.http, messages, content)
    await stop(first) // the smsbox ends, too; the queue is in the store file

    const connected = configure('connected.conf', simulator.smppPort)
    run(programs.bearerbox, connected)
    await waitUntilUp(`http://127.0.0.1:${ports.admin}/status.txt?password=bench`)
    run(programs.smsbox, connected)
    const closedAt = await waitForReceipts(simulator, messages)
    const { first: from, last } = checkRawFile(simulator.rawFile, 0, messages)
    return {
      messages,
      secondsToLastSubmit: (last - from) / 1_000,
      secondsToLastReceipt: (closedAt - from) / 1_000,
      messagesPerSecond: (messages * 1_000) / (closedAt - from),
    }
  } catch (error) {
    const log = join(folder, 'bearerbox.log')
    const output = existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(-15).join('\n') : 'no output'
    throw new Error(`Kannel failed; its log:\n${output}`, { cause: error })
  } finally {
    await Promise.all(running.map(stop))
    simulator.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

type KannelConfig = { folder: string; ports: Ports; smppPort: number; binds: number; window: number }

function configuration({ folder, ports, smppPort, binds, window }: KannelConfig): string {
  return `
group = core
admin-port = ${ports.admin}
admin-interface = 127.0.0.1
admin-password = bench
smsbox-port = ${ports.box}
box-allow-ip = "127.0.0.1"
box-deny-ip = "*.*.*.*"
store-type = file
store-location = "${folder}/store"
dlr-storage = internal
sms-incoming-queue-limit = -1
sms-outgoing-queue-limit = -1
log-file = "${folder}/bearerbox.log"
log-level = 3

group = smsc
smsc = smpp
smsc-id = simulator
instances = ${binds}
host = 127.0.0.1
port = ${smppPort}
smsc-username = "bench"
smsc-password = "bench"
system-type = "bench"
transceiver-mode = true
max-pending-submits = ${window}
reconnect-delay = 1

group = smsbox
smsbox-id = box
bearerbox-host = 127.0.0.1
sendsms-port = ${ports.http}
log-file = "${folder}/smsbox.log"
log-level = 3

group = sms-service
keyword = default
max-messages = 0
text = ""

group = sendsms-user
username = bench
password = bench
max-messages = 1
`
}

async function fillQueue(port: number, messages: number, content: string): Promise<void> {
  let next = 0
  const sendMessages = async () => {
    for (let n = next++; n < messages; n = next++) {
      const query = new URLSearchParams({
        username: 'bench',
        password: 'bench',
        from: '12345',
        to: `1${phoneNumber(n)}`,
        text: content,
        'dlr-mask': '3', // delivered, not delivered
      })
      const response = await fetch(`http://127.0.0.1:${port}/cgi-bin/sendsms?${query}`)
      const text = await response.text()
      if (response.status !== 202) throw new Error(`Kannel responded with ${response.status}: ${text}`)
    }
  }
  await Promise.all(Array.from({ length: senders }, sendMessages))
}

async function waitForReceipts(simulator: SimulatorProcess, expected: number): Promise<number> {
  let last = -1
  for (let progressAt = Date.now(); ; await sleep(50)) {
    const { receiptsAcknowledged } = await simulator.counts()
    const now = Date.now()
    if (receiptsAcknowledged >= expected) {
      expectEqual('receipts that Kannel has acknowledged', receiptsAcknowledged, expected)
      return now
    }
    if (receiptsAcknowledged !== last) progressAt = now
    last = receiptsAcknowledged
    if (now - progressAt > timeoutMs) throw new Error(`${expected - receiptsAcknowledged} receipts are missing`)
  }
}

async function waitUntilUp(url: string): Promise<void> {
  for (const deadline = Date.now() + startMs; Date.now() < deadline; await sleep(50)) {
    try {
      await (await fetch(url)).text()
      return
    } catch {
      // not listening yet
    }
  }
  throw new Error(`${new URL(url).host} did not respond`)
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await ended
  clearTimeout(timer)
}

const freePort = () => checkPort('127.0.0.1', 0)
