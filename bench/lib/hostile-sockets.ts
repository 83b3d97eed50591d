// Clients without a key that take as much as they can, in a separate process: each socket that is closed is opened again
// after a second. Its argument is a `Hostile` as JSON; it sends `HostileCounts` to its parent each second, until it is ended.

import { connect, type Socket } from 'node:net'

/** What the sockets do. */
export type Hostility = keyof typeof kinds

export type Hostile = { port: number; sockets: number; kind: Hostility }
export type HostileCounts = { open: number; opened: number; closed: number; sentMb: number }

const half = Buffer.alloc(65_536, 'x')
const counts = { open: 0, opened: 0, closed: 0, bytes: 0 }

const kinds = {
  /** Sends nothing. */
  idle: (_socket: Socket) => {},
  /** Sends 15 KB of headers, and then a byte per second. */
  headers: (socket: Socket) => {
    send(socket, Buffer.from(`GET /healthz HTTP/1.1\r\nHost: a\r\nX-Padding: ${'x'.repeat(15_000)}`))
    drip(socket)
  },
  /** Sends a body to a public path as fast as it can. */
  body: (socket: Socket) => {
    send(socket, Buffer.from('GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 990000\r\n\r\n'))
    flood(socket, 980_000)
  },
  /** Sends a body with a key that does not exist as fast as it can. */
  key: (socket: Socket) => {
    const key = Buffer.from('a:carillon_key_that_does_not_exist').toString('base64')
    const head = `POST /api/v2/lists HTTP/1.1\r\nHost: a\r\nAuthorization: Basic ${key}\r\nContent-Length: 990000\r\n\r\n`
    send(socket, Buffer.from(head))
    flood(socket, 980_000)
  },
  /** Sends a request with a body, and then a byte of it per second. */
  drip: (socket: Socket) => {
    send(socket, Buffer.from('POST /api/v2/lists HTTP/1.1\r\nHost: a\r\nContent-Length: 990000\r\n\r\n'))
    drip(socket)
  },
  /** Requests large documents and reads nothing. */
  unread: (socket: Socket) => {
    socket.pause()
    send(socket, Buffer.from('GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(10)))
  },
}

function send(socket: Socket, bytes: Buffer): boolean {
  counts.bytes += bytes.length
  return socket.write(bytes)
}

function drip(socket: Socket): void {
  const timer = setInterval(() => send(socket, Buffer.from('x')), 1_000)
  socket.once('close', () => clearInterval(timer))
}

function flood(socket: Socket, bytes: number): void {
  if (bytes <= 0 || socket.destroyed) return
  const next = () => flood(socket, bytes - half.length)
  if (send(socket, half)) setImmediate(next)
  else socket.once('drain', next)
}

const { port, sockets, kind } = JSON.parse(process.argv[2] ?? '{}') as Hostile

function open(): void {
  const socket = connect(port, '127.0.0.1')
  socket.on('connect', () => {
    counts.open++
    counts.opened++
    kinds[kind](socket)
    socket.once('close', () => counts.open--)
  })
  if (kind !== 'unread') socket.resume()
  socket.on('error', () => {})
  socket.once('close', () => {
    counts.closed++
    setTimeout(open, 1_000)
  })
}

// 100 at a time, within the backlog of a listening socket
for (let n = 0; n < sockets; n += 100) setTimeout(() => Array.from({ length: Math.min(100, sockets - n) }, open), n / 5)

setInterval(() => {
  const { bytes, ...rest } = counts
  process.send?.({ ...rest, sentMb: Math.round(bytes / 1e6) } satisfies HostileCounts)
}, 1_000)
process.on('disconnect', () => process.exit())
