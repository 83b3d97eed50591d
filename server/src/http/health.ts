import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Runtime } from '../runtime.ts'
import { listLiveRoles } from '../system/heartbeats.queries.ts'

const Health = Type.Object({ status: Type.Literal('ok') })

const Readiness = Type.Object({
  status: Type.Union([Type.Literal('ready'), Type.Literal('not_ready')]),
  mode: Type.Union([Type.Literal('sandbox'), Type.Literal('production')]),
  checks: Type.Object({
    database: Type.Boolean(),
    worker: Type.Boolean(),
    gateway: Type.Boolean({ description: 'A gateway is bound to a carrier.' }),
  }),
})

const patienceMs = 2_000

/** Whether this process lives (/healthz), and whether a text could go out (/readyz). */
export const healthRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const common = { tags: ['Health'], security: [], 'x-extension': true }

  app.get(
    '/healthz',
    { schema: { operationId: 'getHealth', summary: 'Is it alive?', ...common, response: { 200: Health } } },
    async () => ({ status: 'ok' as const }),
  )

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Could a text go out?',
        ...common,
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_req, reply) => {
      const checks = await check(app.rt)
      const isReady = checks.database && checks.worker && checks.gateway
      const body = { status: isReady ? ('ready' as const) : ('not_ready' as const), mode: app.rt.config.mode, checks }
      return reply.code(isReady ? 200 : 503).send(body)
    },
  )
}

async function check(rt: Runtime) {
  const timer = new AbortController()
  try {
    // a database that hangs is as good as none
    const silence = delay(patienceMs, undefined, { signal: timer.signal })
    const roles = await Promise.race([listLiveRoles(rt.db), silence])
    if (!roles) return { database: false, worker: false, gateway: false }
    return {
      database: true,
      worker: roles.some(({ role }) => role === 'worker'),
      gateway: roles.some(({ role, details }) => role === 'gateway' && Number(details.bound) > 0),
    }
  } catch (error) {
    rt.log.debug({ err: error }, 'the database did not answer /readyz')
    return { database: false, worker: false, gateway: false }
  } finally {
    timer.abort()
  }
}
