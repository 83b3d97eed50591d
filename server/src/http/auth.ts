import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'

export type Caller = {
  account: {
    id: number
    email: string
    username: string
    timeZone: string
    /** May change what belongs to the whole installation. */
    isOperator: boolean
  }
  apiKey: {
    id: number
    scope: 'full' | 'read' | 'send'
    /** Made in sandbox mode. */
    sandbox: boolean
    /** The one that the sandbox's banner shows. */
    seeded: boolean
    /** Its own limit, `calls/seconds` or `off`; null is what the installation says. */
    rateLimit: string | null
  }
}

/** Says whose key this is; the caller's noun knows how keys are kept. */
export type FindCaller = (key: string) => Promise<Caller | 'disabled' | undefined>

/**
 * Lets nobody past without a key (HTTP Basic; the key is the password, and the user name is not looked at, because
 * clients send what they like there). Sets `req.account` and `req.apiKey`.
 */
export function useAuth(app: FastifyInstance, findCaller: FindCaller) {
  app.addHook('onRequest', async (req, reply) => {
    const key = keyOf(req.headers.authorization)
    const caller = key === undefined ? undefined : await findCaller(key)
    if (caller === undefined) {
      reply.header('www-authenticate', 'Basic realm="Carillon", charset="UTF-8"')
      throw errors.unauthorized()
    }
    if (caller === 'disabled') throw errors.keyDisabled()
    if (!isAllowed(caller.apiKey.scope, req)) throw errors.scopeTooNarrow()
    req.account = caller.account
    req.apiKey = caller.apiKey
  })
}

/** For the routes of `app` alone: to all but operators they are not there, and they take a key of full scope. */
export function useOperatorsOnly(app: FastifyInstance) {
  app.addHook('onRequest', async (req) => {
    if (!req.account.isOperator) throw errors.pathNotFound()
    if (req.apiKey.scope !== 'full') throw errors.scopeTooNarrow()
  })
}

function keyOf(header: string | undefined): string | undefined {
  const encoded = /^basic +([\w+/=-]+) *$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return undefined
  const pair = Buffer.from(encoded, 'base64').toString()
  const colon = pair.indexOf(':')
  return colon < 0 || colon === pair.length - 1 ? undefined : pair.slice(colon + 1)
}

function isAllowed(scope: Caller['apiKey']['scope'], req: FastifyRequest): boolean {
  if (scope === 'full' || req.method === 'GET' || req.method === 'HEAD') return true
  return scope === 'send' && req.routeOptions.config.sends === true
}
