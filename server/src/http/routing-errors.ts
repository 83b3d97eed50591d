import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'
import { sendError } from './error-handler.ts'
import { PathMethods } from './path-methods.ts'

/** Responds 404 to an unknown path, and 405 with the allowed methods to an unsupported method of a known path. */
export function useNotFound(app: FastifyInstance) {
  app.decorate('pathMethods', new PathMethods())
  app.addHook('onRoute', ({ path, method }) => {
    app.pathMethods.add(path, [method].flat())
  })
  app.setNotFoundHandler((req, reply) => {
    const allowed = app.pathMethods.of(req.url)
    const isUnknown = allowed.length === 0 || allowed.includes(req.method)
    return sendError(isUnknown ? errors.pathNotFound() : errors.methodNotAllowed(), req, reply)
  })
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
