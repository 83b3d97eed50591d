import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Sockets } from './sockets.ts'

// A body is read only for a caller with a key. A body that nothing reads, of a stranger or of a rejected request, is
// discarded after the response: most clients read the response only after they have sent everything, and would not get it if
// the socket were closed.

/** Size from which the rest of a body is long, and the maximum number of long ones that are discarded at a time. */
const longRest = 65_536
const maxLongRests = 50

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

/**
 * Discards bodies that were not read when the response has been sent, in turns and up to a time limit. If many clients send
 * long bodies, the sockets of the others are closed, because reading costs more than it helps.
 */
export function useUnreadBodies(app: FastifyInstance, sockets: Sockets) {
  app.addHook('onSend', (req, reply, payload, done) => {
    const { raw } = req
    // the client may send the body or the next request now; only the end of the connection is unambiguous
    if (waitsForContinue.has(raw)) reply.header('connection', 'close')
    // a body that something has begun to read is not discarded by Node, which would read 2 MB at a time; `read(0)` does not
    // begin if a full buffer has arrived with the headers
    else if (isUnread(req) && hasBody(raw)) raw.pause().read()
    done(null, payload)
  })

  let longRests = 0
  app.addHook('onResponse', (req, _reply, done) => {
    if (isUnread(req)) discard(req.raw)
    done()
  })

  function discard(request: IncomingMessage): void {
    const { socket } = request
    const timer = setTimeout(() => socket.destroy(), app.timing.discardMs)
    timer.unref()
    let bytes = 0
    let isLong = false
    request.on('data', (piece: Buffer) => {
      request.pause()
      bytes += piece.length
      if (bytes > longRest && !isLong) {
        if (longRests >= maxLongRests) return void socket.destroy()
        isLong = true
        longRests++
      }
      sockets.readPiece(request)
    })
    const end = () => {
      clearTimeout(timer)
      if (isLong) longRests--
      isLong = false
      // Node has forgotten a request with a response, so the request does not notice that its socket closes
      request.off('close', end)
      socket.off('close', end)
    }
    request.once('close', end)
    socket.once('close', end)
    sockets.readPiece(request)
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}

/** Returns whether bytes of the body are still to come. Injected requests have no such property. */
function isUnread({ raw }: FastifyRequest): boolean {
  return raw.complete === false && !raw.destroyed
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
