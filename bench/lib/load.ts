// A load client in a separate process: each connection sends a request as soon as it has the previous response, over plain
// sockets to save CPU time. Its argument is a `Load` as JSON; it sends a `LoadResult` to its parent.

import { connect } from 'node:net'
import { phoneNumber } from './numbers.ts'

/** `{phone}` in path and body is replaced by a random one of the first `below` numbers, or by the next number from `from`. */
export type Load = {
  port: number
  connections: number
  seconds: number
  method: string
  path: string
  authorization: string
  body?: string
  phones: { below: number } | { from: number }
}

export type LoadResult = { calls: number; perSecond: number; p50: number; p95: number; p99: number; failed: number }

const load = JSON.parse(process.argv[2] ?? '{}') as Load
const times: number[] = []
let failed = 0
let requests = 0

const from = performance.now()
const deadline = from + load.seconds * 1_000
await Promise.all(Array.from({ length: load.connections }, run))
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

/** Sends requests over one connection, one after the other, until the deadline. */
function run(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(load.port, '127.0.0.1')
    socket.setNoDelay(true)
    let buffered = ''
    let sentAt = 0
    const send = () => {
      if (performance.now() >= deadline) return void socket.end(resolve)
      sentAt = performance.now()
      socket.write(request())
    }
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('close', () => resolve())
    socket.setEncoding('latin1')
    socket.on('data', (data: string) => {
      buffered += data
      const head = buffered.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(buffered)?.[1])
      if (buffered.length < head + 4 + length) return
      times.push(performance.now() - sentAt)
      if (!buffered.startsWith('HTTP/1.1 2')) failed++
      buffered = ''
      send()
    })
  })
}

function request(): string {
  const n = 'from' in load.phones ? load.phones.from + requests++ : Math.floor(Math.random() * load.phones.below)
  const phone = phoneNumber(n)
  const body = load.body?.replace('{phone}', phone) ?? ''
  const content = body === '' ? '' : `content-type: application/json\r\ncontent-length: ${body.length}\r\n`
  const path = load.path.replace('{phone}', phone)
  return `${load.method} ${path} HTTP/1.1\r\nhost: bench\r\nauthorization: ${load.authorization}\r\n${content}\r\n${body}`
}
