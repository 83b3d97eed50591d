import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { isFromBrowser } from './web-pages.ts'

export type Caller = {
  account: {
    id: number
    email: string
    username: string
    timeZone: string
    /** May change the settings that all accounts share. */
    isOperator: boolean
    /** Limit of the calls of all its keys, `calls/seconds` or `off`; null means the limit of the installation. */
    rateLimit: string | null
  }
  apiKey: {
    id: number
    scope: 'full' | 'read' | 'send'
    /** Created in sandbox mode. */
    sandbox: boolean
    /** The key that the sandbox's banner shows. */
    seeded: boolean
    /** The limit that the account chose, `calls/seconds` or `off`. */
    rateLimit: string | null
    /** The limit that the operator chose; null means the limit of the installation. */
    operatorRateLimit: string | null
    /** The key whose calls the operator's limit counts: this key, or the one that created it. */
    limitedKeyId: number
  }
}

/** Returns the account and key of a caller on a connection; implemented by accounts/, which this folder must not import. */
export type FindCaller = (key: string, connection: Socket) => Promise<Caller | 'disabled' | undefined>

/**
 * Rejects requests without a valid key (HTTP Basic; the key is the password, and the user name is ignored, because clients
 * send arbitrary values there). Sets `req.account` and `req.apiKey`. Browsers
 * are not challenged.
 */
export function useAuth(app: FastifyInstance, findCaller: FindCaller) {
  app.addHook('onRequest', async (req, reply) => {
    const key = keyOf(req.headers.authorization)
    const caller = key === undefined ? undefined : await findCaller(key, req.raw.socket)
    if (caller === undefined) {
      if (!isFromBrowser(req.headers)) reply.header('www-authenticate', 'Basic realm="Carillon", charset="UTF-8"')
      throw errors.unauthorized()
    }
    if (caller === 'disabled') throw errors.keyDisabled()
    if (!isAllowed(caller.apiKey.scope, req)) throw errors.scopeTooNarrow()
    req.account = caller.account
    req.apiKey = caller.apiKey
  })
}

/** Restricts the routes of `app` to operators with a key of full scope; other accounts get a 404. */
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
