import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'

// A body is read only for a caller with a key. A body that nothing reads, of a stranger or of a rejected request, is
// discarded after the response: most clients read the response only after they have sent everything, and would not get it if
// the socket were closed.

/** Maximum number of bodies that are discarded at a time; other sockets are closed. */
const maxDiscarded = 50

/**
 * Discards bodies that were not read when the response has been sent, and sends `100 Continue` when something begins to read
 * a body, so that a client that waits for it does not send the body of a rejected request.
 */
export function useUnreadBodies(app: FastifyInstance) {
  const waitsForContinue = new WeakSet<IncomingMessage>()
  app.server.on('checkContinue', (request, response) => {
    waitsForContinue.add(request)
    continueOnRead(request, response, () => waitsForContinue.delete(request))
    app.server.emit('request', request, response)
  })
  // any other expectation is ignored, as RFC 9110 (10.1.1) permits: Node would respond 417 without the error envelope
  app.server.on('checkExpectation', (request, response) => void app.server.emit('request', request, response))

  app.addHook('onSend', (req, reply, payload, done) => {
    // the client may send the body or the next request now; only the end of the connection is unambiguous
    if (waitsForContinue.has(req.raw)) reply.header('connection', 'close')
    done(null, payload)
  })

  let discarded = 0
  app.addHook('onResponse', (req, _reply, done) => {
    if (isUnread(req)) {
      if (discarded < maxDiscarded) {
        discarded++
        discard(req.raw, app.timing.discardMs, () => discarded--)
      } else req.raw.socket.destroy()
    }
    done()
  })
}

/** Returns whether bytes of the body are still to come. Injected requests have no such property. */
function isUnread({ raw }: FastifyRequest): boolean {
  return raw.complete === false && !raw.destroyed
}

function discard(request: IncomingMessage, maxMs: number, onEnd: () => void): void {
  const { socket } = request
  const timer = setTimeout(() => socket.destroy(), maxMs)
  timer.unref()
  const end = () => {
    clearTimeout(timer)
    // Node has forgotten a request with a response, so the request does not notice that its socket closes
    request.off('close', end)
    socket.off('close', end)
    onEnd()
  }
  request.once('close', end)
  socket.once('close', end)
  request.resume()
}

function continueOnRead(request: IncomingMessage, response: ServerResponse, onContinue: () => void): void {
  const read = request._read
  request._read = (size) => {
    request._read = read
    if (!response.headersSent) {
      onContinue()
      response.writeContinue()
    }
    read.call(request, size)
  }
}
