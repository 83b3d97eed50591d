import type { FastifyInstance } from 'fastify'

/**
 * Computes the response of a path once and sends the same bytes to all callers: these documents are public and large, so anybody could
 * otherwise use the time of the api's thread, or its memory with responses that they do not read. Must be called before the
 * routes of `app` are registered.
 */
export function useStoredResponses(app: FastifyInstance, paths: string[]) {
  const stored = new Map<string, { type: string; bytes: Buffer }>()
  app.addHook('preHandler', (req, reply, done) => {
    const response = stored.get(req.routeOptions.url ?? '')
    if (response === undefined) return done()
    reply.type(response.type).send(response.bytes)
  })
  app.addHook('onSend', (req, reply, payload, done) => {
    const { url = '' } = req.routeOptions
    if (typeof payload !== 'string' || reply.statusCode !== 200 || !paths.includes(url)) return done(null, payload)
    const bytes = Buffer.from(payload)
    stored.set(url, { type: String(reply.getHeader('content-type')), bytes })
    done(null, bytes)
  })
}
