import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { createServer as createTlsServer } from 'node:tls'
import type { Certificate } from './certificates.ts'

export type ReceivedEvent = {
  headers: IncomingMessage['headers']
  body: Record<string, unknown>
  /** Path and query. */
  path: string
  /** The body as it was sent. */
  raw: string
}

export type WebhookReceiver = {
  url: string
  /** Address and port. */
  address: string
  received: ReceivedEvent[]
  /** Number of connections that were opened. */
  connections: number
  /** Maximum number of concurrent requests. */
  maxConcurrent: number
  close(): void
}

export type Respond = (res: ServerResponse, event: ReceivedEvent, n: number) => void | Promise<void>

/** Starts an HTTP server, or with `tls` an HTTPS server, that receives events and responds with `respond`, by default 204. */
export async function startReceiver(
  respond: Respond = (res) => void res.writeHead(204).end(),
  { tls }: { tls?: Certificate } = {},
): Promise<WebhookReceiver> {
  let concurrent = 0
  const handle = async (req: IncomingMessage, res: ServerResponse) => {
    receiver.maxConcurrent = Math.max(receiver.maxConcurrent, ++concurrent)
    res.on('close', () => concurrent--)
    const raw = await text(req)
    const event = { headers: req.headers, path: req.url ?? '', body: JSON.parse(raw) as Record<string, unknown>, raw }
    receiver.received.push(event)
    await respond(res, event, receiver.received.length)
  }
  const server = tls ? createHttpsServer(tls, handle) : createServer(handle)
  const listening = await listen(server)
  const url = `${tls ? 'https' : 'http'}://${listening.address}/in?key=7f2a`
  const receiver: WebhookReceiver = Object.assign(listening, { url, received: [], maxConcurrent: 0 })
  return receiver
}

/**
 * Starts a server that calls `onRequest` with the socket of a client after its first bytes, and with a function that resets
 * the TCP connection.
 */
export async function startRawReceiver(
  onRequest: (socket: Socket, reset: () => void) => void,
  { tls }: { tls?: Certificate } = {},
) {
  const connections = new Map<number | undefined, Socket>()
  const onSocket = (socket: Socket) => {
    const reset = () => void connections.get(socket.remotePort)?.resetAndDestroy()
    socket.on('error', () => {})
    socket.once('data', () => onRequest(socket, reset))
  }
  const server = tls ? createTlsServer(tls, onSocket) : createTcpServer(onSocket)
  server.on('connection', (socket: Socket) => connections.set(socket.remotePort, socket))
  return await listen(server)
}

async function listen(server: Server) {
  const sockets = new Set<Socket>()
  const listening = {
    connections: 0,
    address: '',
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
  server.on('connection', (socket: Socket) => {
    listening.connections++
    sockets.add(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  listening.address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return listening
}
