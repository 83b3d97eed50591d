import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { isUnforgeableHost } from '../http/web-pages.ts'
import { loopbackRanges, makeRanges } from '../lib/address-ranges.ts'
import type { Runtime } from '../runtime.ts'
import { listMetrics } from '../system/heartbeats.queries.ts'
import { metricsContentType, renderMetrics, type Snapshot } from '../system/metrics.ts'
import { databaseUp, measureDatabase } from './metrics.ts'

const loopback = makeRanges(loopbackRanges)

/** GET /metrics of one api process returns the metrics of all processes, which report them with their heartbeats. */
export const metricsRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/metrics', { schema: { hide: true } }, async (req, reply) => {
    if (isClosed(app.rt)) throw errors.metricsNeedToken()
    if (!mayScrape(req, app.rt)) {
      reply.header('www-authenticate', 'Bearer realm="Carillon metrics"')
      throw errors.metricsUnauthorized()
    }
    return reply.type(metricsContentType).send(await renderMetrics(await gather(app.rt)))
  })
}

/** Returns the metrics of all processes and of the database; only those of this process if the database is unavailable. */
async function gather(rt: Runtime): Promise<Snapshot[]> {
  const own = rt.metrics.snapshot()
  try {
    const reported = await listMetrics(rt.db)
    const others = reported.filter((snapshot) => processOf(snapshot) !== rt.metrics.process)
    return [own, ...others, await measureDatabase(rt), databaseUp(true)]
  } catch (error) {
    rt.log.warn({ err: error }, 'database unavailable for /metrics')
    return [own, databaseUp(false)]
  }
}

const processOf = (snapshot: Snapshot) => snapshot.find(({ values }) => values.length > 0)?.values[0]?.labels.process

/** Production requires a token, because every client has a loopback address behind a local proxy. */
function isClosed({ config }: Runtime): boolean {
  return config.mode === 'production' && config.metricsToken === undefined
}

/**
 * Returns whether a request has the token, or, if none is set, comes from this machine, neither through a proxy nor from a page
 * whose name DNS has pointed at this machine.
 */
function mayScrape(req: FastifyRequest, { config }: Runtime): boolean {
  if (config.metricsToken) {
    const given = /^bearer +(\S+) *$/i.exec(req.headers.authorization ?? '')?.[1] ?? ''
    return timingSafeEqual(sha256(given), sha256(config.metricsToken.reveal()))
  }
  const isForwarded = req.headers['x-forwarded-for'] !== undefined || req.headers.forwarded !== undefined
  return !isForwarded && isUnforgeableHost(req.headers.host) && loopback.has(req.socket.remoteAddress ?? '0.0.0.0')
}

const sha256 = (text: string) => createHash('sha256').update(text).digest()
