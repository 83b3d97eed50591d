import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isBadValue, isDatabaseUnavailable, isRaceLost, violates } from '../db/pg-errors.ts'
import { AppError, errors } from '../errors.ts'
import { LineLimits } from './line-limits.ts'
import { notFoundOf } from './path-params.ts'
import { detailsOf } from './validation.ts'

/**
 * Sends every thrown error in the contract's envelope; logs a 5xx that no rule has thrown once, up to a number per second, and
 * never sends its cause.
 */
export function useErrorHandler(app: FastifyInstance) {
  const limits = new LineLimits(app.log, 'lines of failed requests omitted')
  app.addHook('onClose', async () => limits.report())
  app.setErrorHandler((error: FastifyError, req, reply) => {
    const appError = toAppError(error, req)
    if (appError.status >= 500 && appError !== error && limits.take(req.account?.id, req.ip)) {
      req.log.error({ err: error, route: req.routeOptions.url }, 'request failed')
    }
    // Fastify would close the connection, which most clients report instead of the response (unread-bodies.ts)
    if (appError.status === 413) reply.removeHeader('connection')
    return sendError(appError, req, reply)
  })
}

/**
 * Sends an error in the contract's envelope, a 405 with `Allow`; clients may retry a 503 or 409 after one second, or the time of
 * the error.
 */
export function sendError(error: AppError, req: FastifyRequest, reply: FastifyReply) {
  const retryAfterS = error.retryAfterS ?? (error.status === 503 || error.status === 409 ? 1 : undefined)
  if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS)
  if (error.status === 405) reply.header('allow', req.server.pathMethods.of(req.url).join(', '))
  return reply
    .code(error.status)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(presentError(error, req.id)))
}

/** Returns the body of an error response. */
export function presentError({ message, code, details }: AppError, requestId: string) {
  return { status: 'error', error: message, code, details, request_id: requestId }
}

function toAppError(error: FastifyError, req: FastifyRequest): AppError {
  if (error instanceof AppError) return error
  if (error.validation) return toValidationError(error, req)
  if (violates(error, 'subscribers_tags')) return errors.tooManyTags()
  if (isDatabaseUnavailable(error) || isRaceLost(error)) return errors.unavailable()
  if (isBadValue(error)) return errors.unstorable()
  // the plugin that serves the console's files responds 403 to paths such as `..`
  if (error.statusCode === 404 || error.statusCode === 403) return errors.pathNotFound()
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return errors.unreadableRequest(error.message)
  }
  return errors.internal()
}

/**
 * Returns a 422 with the errors per field; for a malformed id in a path, the 404 that its parameter declares, or a 405 if the
 * id is the last word of another path that has other methods (`PUT .../messages/draft`).
 */
function toValidationError(error: FastifyError, req: FastifyRequest): AppError {
  if (error.validationContext !== 'params') return errors.invalid(detailsOf(error.validation ?? []))
  if (!req.server.pathMethods.of(req.url).includes(req.method)) return errors.methodNotAllowed()
  const param = error.validation?.[0]?.instancePath.slice(1) ?? ''
  const notFound = notFoundOf(req.routeOptions.schema?.params, param) ?? errors.pathNotFound
  req.log.debug({ param }, 'malformed id in path')
  return notFound()
}
