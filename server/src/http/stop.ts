import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'

/**
 * Ends what clients have not completed when the server stops: waiting work and unfinished bodies observe `app.stopping` and end
 * with its reason, a 503. Requests that arrive later get the same 503, and each response ends its connection.
 */
export function useStop(app: FastifyInstance) {
  const controller = new AbortController()
  const { signal } = controller
  app.decorate('stopping', signal)
  app.addHook('preClose', async () => controller.abort(errors.unavailable()))
  app.addHook('onRequest', (_req, _reply, done) => {
    if (signal.aborted) done(signal.reason)
    else done()
  })
  app.addHook('onSend', (_req, reply, payload, done) => {
    if (signal.aborted) reply.header('connection', 'close')
    done(null, payload)
  })
}
