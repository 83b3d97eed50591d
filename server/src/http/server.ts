import { createServer, type RequestListener, type Server } from 'node:http'
import { maxHeaderSize, maxHeaders } from './server-limits.ts'
import type { Sockets } from './sockets.ts'
import type { HttpTiming } from './timing.ts'
import { useContinue } from './unread-bodies.ts'

/** Size from which a stream waits for its reader: of a body that nothing reads yet, this much and one read of 64 KB are kept. */
const highWaterMark = 16_384

/** Returns an HTTP server with all limits of headers, time and sockets, which passes requests to `handle`. */
export function makeServer(handle: RequestListener, sockets: Sockets, durations: HttpTiming): Server {
  const server = createServer({
    // `useHostCheck` rejects such requests with the error envelope
    requireHostHeader: false,
    maxHeaderSize,
    headersTimeout: durations.headersMs,
    requestTimeout: durations.requestMs,
    connectionsCheckingInterval: durations.checkMs,
    keepAliveTimeout: durations.idleMs,
    highWaterMark,
  })
  server.maxHeadersCount = maxHeaders
  server.on('connection', (socket) => sockets.open(socket))
  server.on('request', (request, response) => sockets.receive(request, response, () => handle(request, response)))
  useContinue(server)
  return server
}
