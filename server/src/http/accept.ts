import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'

/** Rejects requests that do not accept JSON with 406. */
export function useAccept(app: FastifyInstance) {
  app.addHook('onRequest', async (req) => {
    if (!acceptsJson(req.headers.accept)) throw errors.notAcceptable()
  })
}

/** Returns whether the header accepts JSON; a missing or empty header and `*` do. */
export function acceptsJson(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === '') return true
  return accept.split(',').some((range) => {
    const [type = '', ...params] = range.split(';').map((part) => part.trim().toLowerCase())
    if (params.some((param) => /^q=0(?:\.0*)?$/.test(param))) return false
    return type === '*/*' || type === '*' || type === 'application/*' || type.includes('json')
  })
}
