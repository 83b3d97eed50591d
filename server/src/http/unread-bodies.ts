import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Sockets } from './sockets.ts'

// A body is read only for a caller with a key. A body that nothing reads, of a stranger or of a rejected request, is
// discarded after the response: most clients read the response only after they have sent everything, and would not get it if
// the socket were closed.

const waitsForContinue = new WeakSet<IncomingMessage>()

/**
 * Sends `100 Continue` when something begins to read a body, so that a client that waits for it does not send the body of a
 * rejected request.
 */
export function useContinue(server: Server) {
  server.on('checkContinue', (request, response) => {
    waitsForContinue.add(request)
    continueOnRead(request, response)
    server.emit('request', request, response)
  })
  // any other expectation is ignored, as RFC 9110 (10.1.1) permits: Node would respond 417 without the error envelope
  server.on('checkExpectation', (request, response) => void server.emit('request', request, response))
}

/** Discards bodies that were not read when the response has been sent, in turns and up to a time limit. */
export function useUnreadBodies(app: FastifyInstance, sockets: Sockets) {
  app.addHook('onSend', (req, reply, payload, done) => {
    const { raw } = req
    // the client may send the body or the next request now; only the end of the connection is unambiguous
    if (waitsForContinue.has(raw)) reply.header('connection', 'close')
    // a body that something has begun to read is not discarded by Node, which would read 2 MB at a time
    else if (isUnread(req) && hasBody(raw)) raw.pause().read(0)
    done(null, payload)
  })

  app.addHook('onResponse', (req, _reply, done) => {
    if (isUnread(req)) discard(req.raw, app.timing.discardMs, sockets)
    done()
  })
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}

/** Returns whether bytes of the body are still to come. Injected requests have no such property. */
function isUnread({ raw }: FastifyRequest): boolean {
  return raw.complete === false && !raw.destroyed
}

function discard(request: IncomingMessage, maxMs: number, sockets: Sockets): void {
  const { socket } = request
  const timer = setTimeout(() => socket.destroy(), maxMs)
  timer.unref()
  const end = () => {
    clearTimeout(timer)
    // Node has forgotten a request with a response, so the request does not notice that its socket closes
    request.off('close', end)
    socket.off('close', end)
  }
  request.once('close', end)
  socket.once('close', end)
  request.on('data', () => {
    request.pause()
    sockets.readPiece(request)
  })
  sockets.readPiece(request)
}

function continueOnRead(request: IncomingMessage, response: ServerResponse): void {
  const read = request._read
  request._read = (size) => {
    request._read = read
    if (!response.headersSent) {
      waitsForContinue.delete(request)
      response.writeContinue()
    }
    read.call(request, size)
  }
}
