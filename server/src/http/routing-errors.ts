import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'
import { sendError } from './error-handler.ts'

/** Responds 404 to an unknown path, and 405 with the allowed methods to an unsupported method of a known path. */
export function useNotFound(app: FastifyInstance) {
  const methodsByPath = new Map<string, { pattern: RegExp; methods: Set<string> }>()
  app.addHook('onRoute', ({ path, method }) => {
    if (path.includes('*')) return
    const known = methodsByPath.get(path) ?? { pattern: patternOf(path), methods: new Set() }
    for (const name of [method].flat()) known.methods.add(name)
    methodsByPath.set(path, known)
  })
  app.setNotFoundHandler((req, reply) => {
    const path = req.url.replace(/\?.*$/, '')
    const allowed = [...methodsByPath.values()]
      .filter(({ pattern }) => pattern.test(path))
      .flatMap(({ methods }) => [...methods])
    if (allowed.length === 0 || allowed.includes(req.method)) return sendError(errors.pathNotFound(), req, reply)
    reply.header('allow', [...new Set(allowed)].join(', '))
    return sendError(errors.methodNotAllowed(), req, reply)
  })
}

function patternOf(path: string): RegExp {
  const parts = path
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')))
  return new RegExp(`^${parts.join('/')}/*$`)
}

/** Rejects requests that do not accept JSON with 406. */
export function useAccept(app: FastifyInstance) {
  app.addHook('onRequest', async (req) => {
    if (!acceptsJson(req.headers.accept)) throw errors.notAcceptable()
  })
}

/** Returns whether the header accepts JSON; a missing or empty header and `*` do. */
function acceptsJson(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === '') return true
  return accept.split(',').some((range) => {
    const [type = '', ...params] = range.split(';').map((part) => part.trim().toLowerCase())
    if (params.some((param) => /^q=0(?:\.0*)?$/.test(param))) return false
    return type === '*/*' || type === '*' || type === 'application/*' || type.includes('json')
  })
}
