import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import pg from 'pg'
import { isBadValue, isDatabaseAway, isRaceLost } from '../db/pg-errors.ts'
import { AppError, errors } from '../errors.ts'
import { notFoundOf } from './path-params.ts'
import { detailsOf } from './validation.ts'

/** Turns whatever was thrown into the contract's envelope; logs once what is ours to mend, and tells nobody else. */
export function useErrorHandler(app: FastifyInstance) {
  app.setErrorHandler((error: FastifyError, req, reply) => {
    const refusal = refusalOf(error, req)
    if (refusal.status >= 500) req.log.error({ err: loggable(error), route: req.routeOptions.url }, 'request failed')
    return sendRefusal(refusal, req, reply)
  })
}

export function sendRefusal(refusal: AppError, req: FastifyRequest, reply: FastifyReply) {
  if (refusal.status === 503 || refusal.status === 409) reply.header('retry-after', 1)
  return reply
    .code(refusal.status)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(presentRefusal(refusal, req.id)))
}

export function presentRefusal({ message, code, details }: AppError, requestId: string) {
  return { status: 'error', error: message, code, details, request_id: requestId }
}

function refusalOf(error: FastifyError, req: FastifyRequest): AppError {
  if (error instanceof AppError) return error
  if (error.validation) return refusalOfValidation(error, req)
  if (isDatabaseAway(error) || isRaceLost(error)) return errors.unavailable()
  if (isBadValue(error)) return errors.unstorable()
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return errors.bodyTooLarge(req.routeOptions.bodyLimit)
  // the console's files refuse odd paths with 403
  if (error.statusCode === 404 || error.statusCode === 403) return errors.pathNotFound()
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return errors.unreadableRequest(error.message)
  }
  return errors.internal()
}

/** A malformed id in a path names nothing, so it gets the 404 that its parameter declares. */
function refusalOfValidation(error: FastifyError, req: FastifyRequest): AppError {
  if (error.validationContext !== 'params') return errors.invalid(detailsOf(error.validation ?? []))
  const param = error.validation?.[0]?.instancePath.slice(1) ?? ''
  const notFound = notFoundOf(req.routeOptions.schema?.params, param) ?? errors.pathNotFound
  req.log.debug({ param }, 'malformed id in path')
  return notFound()
}

/** PostgreSQL quotes the row in its messages, and a row has a phone number in it. */
function loggable(error: unknown) {
  if (!(error instanceof pg.DatabaseError)) return error
  const { name, code, severity, schema, table, column, constraint, routine, stack } = error
  return { type: name, code, severity, schema, table, column, constraint, routine, stack: stack?.replace(/^.*\n/, '') }
}
