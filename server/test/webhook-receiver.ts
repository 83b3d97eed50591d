import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'

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
  received: ReceivedEvent[]
  /** Number of connections that were opened. */
  connections: number
  /** Maximum number of concurrent requests. */
  maxConcurrent: number
  close(): void
}

export type Respond = (res: ServerResponse, event: ReceivedEvent, n: number) => void | Promise<void>

/** Starts an HTTP server that receives events and responds with `respond`, by default 204. */
export async function startReceiver(
  respond: Respond = (res) => void res.writeHead(204).end(),
): Promise<WebhookReceiver> {
  const sockets = new Set<Socket>()
  let concurrent = 0
  const server = createServer(async (req, res) => {
    receiver.maxConcurrent = Math.max(receiver.maxConcurrent, ++concurrent)
    res.on('close', () => concurrent--)
    const raw = await text(req)
    const event = { headers: req.headers, path: req.url ?? '', body: JSON.parse(raw) as Record<string, unknown>, raw }
    receiver.received.push(event)
    await respond(res, event, receiver.received.length)
  })
  const receiver: WebhookReceiver = {
    url: '',
    received: [],
    connections: 0,
    maxConcurrent: 0,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
  server.on('connection', (socket: Socket) => {
    receiver.connections++
    sockets.add(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in?key=7f2a`
  return receiver
}
