import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Runtime } from '../runtime.ts'
import { type LiveRole, listLiveRoles } from '../system/heartbeats.queries.ts'

const Health = Type.Object({ status: Type.Literal('ok') }, { title: 'Health' })

const Readiness = Type.Object(
  {
    status: Type.Union([Type.Literal('ready'), Type.Literal('not_ready')]),
    mode: Type.Union([Type.Literal('sandbox'), Type.Literal('production')]),
    problems: Type.Array(Type.String(), {
      description: 'Reasons why no text can be sent, for people; empty when ready.',
    }),
    checks: Type.Object({
      database: Type.Boolean(),
      worker: Type.Boolean(),
      gateway: Type.Boolean({ description: 'Whether a gateway is bound to a carrier.' }),
    }),
  },
  { title: 'Readiness' },
)

const databaseTimeoutMs = 2_000

/** Reports whether this process is alive (/healthz), and whether a text can be sent (/readyz). */
export const healthRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const common = { tags: ['Health'], security: [], 'x-extension': true }

  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'Report whether the API process is alive',
        description: 'For supervisors and balancers: the response does not depend on the database or other processes.',
        ...common,
        response: { 200: Health },
      },
    },
    async () => ({ status: 'ok' as const }),
  )

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Report whether texts can be sent',
        description: 'Checks the database, the worker and the binds of the gateways; a 503 lists what is missing.',
        ...common,
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_req, reply) => {
      const { checks, problems } = await check(app.rt)
      const isReady = problems.length === 0
      const status = isReady ? ('ready' as const) : ('not_ready' as const)
      const body = { status, mode: app.rt.config.mode, problems, checks }
      return reply.code(isReady ? 200 : 503).send(body)
    },
  )
}

async function check(rt: Runtime) {
  const roles = await findLiveRoles(rt)
  const workers = roles?.filter(({ role }) => role === 'worker')
  const gateways = roles?.filter(({ role }) => role === 'gateway')
  const checks = {
    database: roles !== undefined,
    worker: (workers ?? []).length > 0,
    gateway: (gateways ?? []).some(({ details }) => Number(details.bound) > 0),
  }
  const problems = [
    ...(checks.database ? [] : ['The database does not respond.']),
    ...(checks.database && !checks.worker ? ['No worker is running.'] : []),
    ...(gateways && !checks.gateway ? [describeUnbound(gateways)] : []),
  ]
  return { checks, problems }
}

function describeUnbound(gateways: LiveRole[]): string {
  if (gateways.length === 0) return 'No gateway is running.'
  if (gateways.every(({ details }) => details.serving === false)) {
    return 'Sending is paused, so no gateway binds: npm run carillon -- sending resume'
  }
  if (gateways.every(({ details }) => details.connections === 0)) {
    return 'No connection is configured: set CARILLON_SMPP_URL, or npm run carillon -- connection add'
  }
  return 'No gateway is bound to a carrier: npm run carillon -- connection list'
}

/** Returns the roles with a recent heartbeat; undefined when the database does not respond. */
async function findLiveRoles(rt: Runtime): Promise<LiveRole[] | undefined> {
  const timer = new AbortController()
  try {
    // a database that hangs counts as unavailable
    const timeout = delay(databaseTimeoutMs, undefined, { signal: timer.signal })
    return await Promise.race([listLiveRoles(rt.db), timeout])
  } catch (error) {
    rt.log.debug({ err: error }, 'database did not respond to /readyz')
    return undefined
  } finally {
    timer.abort()
  }
}
