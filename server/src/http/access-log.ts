import type { FastifyInstance } from 'fastify'
import { LineLimits } from './line-limits.ts'

/**
 * Logs one line per request, with the route's pattern instead of the path, which may contain a phone number. The lines of
 * requests that failed or were rejected are limited, because nothing else limits these requests: a caller could replace all
 * older lines with them.
 */
export function useAccessLog(app: FastifyInstance) {
  const limits = new LineLimits(app.log, 'lines of rejected requests omitted')
  app.addHook('onRequest', async (req, reply) => {
    reply.header('x-request-id', req.id)
  })
  app.addHook('onResponse', async (req, reply) => {
    const status = reply.statusCode
    const account = req.account?.id
    if (status >= 400 && !limits.take(account, req.ip)) return
    const fields = {
      method: req.method,
      route: req.routeOptions.url,
      status,
      ms: Math.round(reply.elapsedTime),
      account,
      client: req.ip,
    }
    req.log.info(fields, 'request completed')
  })
  app.addHook('onClose', async () => limits.report())
}
