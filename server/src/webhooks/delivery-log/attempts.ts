import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import {
  type AttemptDetails,
  type AttemptSummary,
  findAttempt,
  findEndpointId,
  findScanEnd,
  type LogFilter,
  type LogKey,
  listAttempts,
} from './attempts.queries.ts'

/** A query of the log: the attempts before a key, latest first. */
export type LogQuery = Omit<LogFilter, 'endpointId'> & { webhookId: number | null; before: LogKey; limit: number }

/** A page of the log; `next` is the key before which the next page continues, null at the end. */
export type LogPage = { attempts: AttemptSummary[]; next: LogKey | null }

/**
 * Returns the account's attempts of a filter. A page may have fewer attempts than its limit, and even none, before the end:
 * one request compares a limited number of them with the filter. Throws a 404 for an unknown webhook.
 */
export async function getLogPage(db: Db, { webhookId, before, limit, ...given }: LogQuery): Promise<LogPage> {
  const endpointId = webhookId === null ? null : await findEndpointId(db, given.accountId, webhookId)
  if (endpointId === undefined) throw errors.webhookNotFound()
  const filter = { ...given, endpointId }
  const attempts = await listAttempts(db, filter, before, limit)
  if (attempts.length === limit) return { attempts, next: attempts.at(-1) ?? null }
  return { attempts, next: (await findScanEnd(db, filter, before)) ?? null }
}

/** Returns an attempt of the account with its request and response; throws a 404 if it does not exist. */
export async function getAttempt(db: Db, accountId: number, id: number): Promise<AttemptDetails> {
  const attempt = await findAttempt(db, accountId, id)
  if (!attempt) throw errors.attemptNotFound()
  return attempt
}
