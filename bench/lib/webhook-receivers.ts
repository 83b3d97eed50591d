// Four HTTPS receivers of webhooks in a separate process, over plain TLS sockets to save CPU time. Its argument is a
// certificate as JSON. It sends `Listening` to its parent, then `Progress` five times per second, and `Arrivals` when it
// receives the name of a receiver.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { Certificate } from '../../server/test/certificates.ts'

export const receiverNames = ['fast', 'slow', 'failing', 'silent'] as const
export type ReceiverName = (typeof receiverNames)[number]

export type Listening = { ports: Record<ReceiverName, number> }
/** Number of requests that arrived. */
export type Progress = { counts: Record<ReceiverName, number> }
/** Position and time of each request of a receiver, in the order of their arrival; `at` is in milliseconds since 1970. */
export type Arrivals = { positions: number[]; at: number[] }

const success = 'HTTP/1.1 204 No Content\r\n\r\n'
const responses: Record<ReceiverName, (socket: TLSSocket) => void> = {
  fast: (socket) => void socket.write(success),
  slow: (socket) => void setTimeout(() => socket.write(success), 200),
  failing: (socket) => void socket.write('HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n'),
  silent: () => {},
}

// the parent imports the names, and forks this file with an argument
if (process.send && process.argv[1] === import.meta.filename)
  await serve(JSON.parse(process.argv[2] ?? '{}') as Certificate)

async function serve(certificate: Certificate): Promise<void> {
  const arrivals = mapNames((): Arrivals => ({ positions: [], at: [] }))
  const servers = mapNames((name) =>
    createServer(certificate, (socket) => {
      socket.setNoDelay(true)
      readRequests(socket, (position) => {
        arrivals[name].positions.push(position)
        arrivals[name].at.push(performance.timeOrigin + performance.now())
        responses[name](socket)
      })
    }).listen(0, '127.0.0.1'),
  )
  await Promise.all(Object.values(servers).map((server) => once(server, 'listening')))
  const ports = mapNames((name) => (servers[name].address() as AddressInfo).port)
  process.send?.({ ports } satisfies Listening)
  setInterval(() => process.send?.({ counts: mapNames((name) => arrivals[name].at.length) } satisfies Progress), 200)
  process.on('message', (name: ReceiverName) => process.send?.(arrivals[name]))
  process.on('disconnect', () => process.exit())
}

/** Calls `onRequest` with the position of each event that arrives on a connection. */
function readRequests(socket: TLSSocket, onRequest: (position: number) => void): void {
  let buffered = ''
  socket.on('error', () => {})
  socket.setEncoding('latin1')
  socket.on('data', (data: string) => {
    buffered += data
    for (;;) {
      const head = buffered.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(buffered)?.[1])
      if (buffered.length < head + 4 + length) return
      const position = Number(/\r\nwebhook-id: evt_(\d+)/i.exec(buffered)?.[1])
      buffered = buffered.slice(head + 4 + length)
      onRequest(position)
    }
  })
}

function mapNames<T>(make: (name: ReceiverName) => T): Record<ReceiverName, T> {
  return Object.fromEntries(receiverNames.map((name) => [name, make(name)])) as Record<ReceiverName, T>
}
