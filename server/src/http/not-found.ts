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
