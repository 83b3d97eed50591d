// A client in a process of its own that asks as fast as it is answered, over plain sockets so that it costs little. It is
// told what to ask by its argument and tells its parent how it went.

import { connect } from 'node:net'
import { phoneNumber } from './numbers.ts'

/** `{phone}` in the request is the number of the call, chosen at random of the first `below`, or counted from `from`. */
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

export type LoadResult = { calls: number; perSecond: number; p50: number; p95: number; p99: number; refused: number }

const load = JSON.parse(process.argv[2] ?? '{}') as Load
const times: number[] = []
let refused = 0
let asked = 0

const from = performance.now()
const until = from + load.seconds * 1_000
await Promise.all(Array.from({ length: load.connections }, talk))
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
  refused,
}
process.send?.(result)
process.disconnect?.()

/** Asks over one connection, one call after the other, until the time is up. */
function talk(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(load.port, '127.0.0.1')
    socket.setNoDelay(true)
    let buffered = ''
    let sentAt = 0
    const ask = () => {
      if (performance.now() >= until) return void socket.end(resolve)
      sentAt = performance.now()
      socket.write(request())
    }
    socket.on('connect', ask)
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
      if (!buffered.startsWith('HTTP/1.1 2')) refused++
      buffered = ''
      ask()
    })
  })
}

function request(): string {
  const n = 'from' in load.phones ? load.phones.from + asked++ : Math.floor(Math.random() * load.phones.below)
  const phone = phoneNumber(n)
  const body = load.body?.replace('{phone}', phone) ?? ''
  const content = body === '' ? '' : `content-type: application/json\r\ncontent-length: ${body.length}\r\n`
  const path = load.path.replace('{phone}', phone)
  return `${load.method} ${path} HTTP/1.1\r\nhost: bench\r\nauthorization: ${load.authorization}\r\n${content}\r\n${body}`
}
