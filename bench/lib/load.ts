// A load client in a separate process, over plain sockets to save CPU time. In a closed loop each connection sends a request as soon
// as it has the previous response; in an open loop requests are due at a constant rate, whether or not there are responses, and
// their time counts from when they were due. Its argument is a `Load` as JSON; it sends a `LoadResult` to its parent.

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { phoneNumber } from './numbers.ts'

/** `{phone}` in path and body is replaced by a random one of the first `below` numbers, or by the next number from `from`. */
export type Load = {
  port: number
  connections: number
  seconds: number
  /** The rate of an open loop; a closed loop if undefined. */
  perSecond?: number
  method: string
  path: string
  /** A file whose lines replace `{line}` in the path, one after the other. */
  lines?: string
  authorization: string
  userAgent?: string
  body?: string
  phones: { below: number } | { from: number }
  /** The first digit of the status of a response that did not fail: 2 by default. */
  status?: number
}

export type LoadResult = { calls: number; perSecond: number; p50: number; p95: number; p99: number; failed: number }

const load = JSON.parse(process.argv[2] ?? '{}') as Load
const lines = load.lines === undefined ? [] : readFileSync(load.lines, 'utf8').trim().split('\n')
const success = `HTTP/1.1 ${load.status ?? 2}`
const times: number[] = []
let failed = 0
let requests = 0

/** Sends requests over each connection, one after the other, until the deadline. */
async function runClosed(connections: number): Promise<void> {
  const run = async () => {
    const connection = await Connection.open()
    while (performance.now() < deadline) await connection.send(performance.now())
    connection.close()
  }
  await Promise.all(Array.from({ length: connections }, run))
}

/** Sends each request when it is due, over a free connection; while all are busy, requests wait for the first free one. */
async function runOpen(connections: number, perSecond: number): Promise<void> {
  const due: number[] = []
  const free = await Promise.all(Array.from({ length: connections }, Connection.open))
  const begin = performance.now()
  const work = async (connection: Connection) => {
    for (let at = due.shift(); at !== undefined; at = due.shift()) await connection.send(at)
    free.push(connection)
  }
  const count = Math.floor(load.seconds * perSecond)
  for (let n = 0; n < count; ) {
    // from the tick of this client's clock, which does not depend on the server
    const tick = performance.now()
    for (; n < count && begin + (n * 1_000) / perSecond <= tick; n++) {
      due.push(tick)
      const connection = free.pop()
      if (connection) void work(connection)
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  while (free.length < connections) await new Promise((resolve) => setTimeout(resolve, 1))
  for (const connection of free) connection.close()
}

class Connection {
  readonly #socket = connect(load.port, '127.0.0.1')
  #buffered = ''
  #done: (() => void) | undefined

  static open(): Promise<Connection> {
    const connection = new Connection()
    return new Promise((resolve, reject) => {
      connection.#socket.on('connect', () => resolve(connection))
      connection.#socket.on('error', reject)
    })
  }

  constructor() {
    this.#socket.setNoDelay(true)
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (data: string) => {
      this.#buffered += data
      const head = this.#buffered.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#buffered)?.[1])
      if (this.#buffered.length < head + 4 + length) return
      if (!this.#buffered.startsWith(success)) failed++
      this.#buffered = ''
      this.#done?.()
    })
    this.#socket.on('close', () => {
      if (!this.#done) return
      failed++
      this.#done()
    })
  }

  /** Sends a request that was due at this time; resolves when its response was received. */
  async send(dueAt: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#done = resolve
      this.#socket.write(request())
    })
    this.#done = undefined
    times.push(performance.now() - dueAt)
  }

  close(): void {
    this.#socket.end()
  }
}

function request(): string {
  const n = 'from' in load.phones ? load.phones.from + requests : Math.floor(Math.random() * load.phones.below)
  const line = lines[requests % lines.length] ?? ''
  requests++
  const phone = phoneNumber(n)
  const body = load.body?.replace('{phone}', phone) ?? ''
  const content = body === '' ? '' : `content-type: application/json\r\ncontent-length: ${body.length}\r\n`
  const agent = load.userAgent === undefined ? '' : `user-agent: ${load.userAgent}\r\n`
  const path = load.path.replace('{phone}', phone).replace('{line}', line)
  return `${load.method} ${path} HTTP/1.1\r\nhost: bench\r\nauthorization: ${load.authorization}\r\n${agent}${content}\r\n${body}`
}

const from = performance.now()
const deadline = from + load.seconds * 1_000
await (load.perSecond === undefined ? runClosed(load.connections) : runOpen(load.connections, load.perSecond))
const seconds = (performance.now() - from) / 1_000

times.sort((a, b) => a - b)
const at = (share: number) =>
  Number((times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0).toFixed(2))
const result: LoadResult = {
  calls: times.length,
  perSecond: Math.round(times.length / seconds),
  p50: at(0.5),
  p95: at(0.95),
  p99: at(0.99),
  failed,
}
process.send?.(result)
process.disconnect?.()
