import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { type AppError, errors } from '../errors.ts'

/** A name or an address with an optional port. Names with underscores exist in networks of containers. */
const authority = /^(?:[\w.-]*|\[[\da-f:.]+\])(?::\d{0,5})?$/i

/**
 * Rejects a request with two `Host` headers, with a malformed one, or, in HTTP/1.1, without one: a proxy could read another
 * host than this server. Any well-formed host is accepted, because samples of the vendor send `Host: example.org`.
 */
export function useHostCheck(app: FastifyInstance) {
  app.addHook('onRequest', (req, _reply, done) => done(faultOf(req.raw)))
}

function faultOf(request: IncomingMessage): AppError | undefined {
  const { host } = request.headers
  if (host === undefined) {
    return request.httpVersion === '1.0' ? undefined : errors.unreadableRequest('The header Host is missing')
  }
  if (!authority.test(host)) return errors.unreadableRequest('The header Host is not a name or an address with a port')
  return isRepeated(request.rawHeaders) ? errors.unreadableRequest('The header Host occurs more than once') : undefined
}

/** Node's parsed headers contain the first `Host` only. */
function isRepeated(rawHeaders: string[]): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') count += 1
  }
  return count > 1
}
