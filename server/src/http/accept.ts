import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'

/** Answers 406 to whoever wants anything but JSON. */
export function useAccept(app: FastifyInstance) {
  app.addHook('onRequest', async (req) => {
    if (!takesJson(req.headers.accept)) throw errors.notAcceptable()
  })
}

/** Whether the header leaves room for JSON; none, an empty one and a `*` do. */
export function takesJson(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === '') return true
  return accept.split(',').some((range) => {
    const [type = '', ...params] = range.split(';').map((part) => part.trim().toLowerCase())
    if (params.some((param) => /^q=0(?:\.0*)?$/.test(param))) return false
    return type === '*/*' || type === '*' || type === 'application/*' || type.includes('json')
  })
}
