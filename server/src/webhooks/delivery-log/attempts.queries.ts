import type { Db } from '../../db/db.ts'
import { type Sql, sql } from '../../db/sql.ts'

/** An attempt as the log lists it. */
export type AttemptSummary = {
  id: number
  position: number
  type: string
  /** Null for a webhook that no longer exists. */
  webhookId: number | null
  listId: number | null
  phone: number | null
  isTest: boolean
  attempt: number
  outcome: AttemptOutcome
  startedAt: Date
  durationMs: number
  url: string | null
  status: number | null
  error: string | null
}

export const outcomes = ['delivered', 'failed', 'dead'] as const
export type AttemptOutcome = (typeof outcomes)[number]

/** An attempt with its request and response; the payload is null if the event is deleted. */
export type AttemptDetails = AttemptSummary & {
  payload: string | null
  requestHeaders: Record<string, string>
  responseHeaders: Record<string, string> | null
  response: Buffer | null
}

/** The position of an attempt in the log, which is ordered by these two. */
export type LogKey = { startedAt: Date; id: number }

/** The attempts of an account to read: with null, all of them. */
export type LogFilter = {
  accountId: number
  endpointId: number | null
  phone: number | null
  /** Of the event. */
  position: number | null
  types: string[] | null
  outcomes: AttemptOutcome[] | null
  since: Date | null
}

/** Maximum number of attempts that one request compares with its filter. */
export const maxScanned = 5_000

const summaryColumns = sql`
  a.id, a.position, a.type, a.phone, a.is_test as "isTest", a.attempt, a.outcome, a.started_at as "startedAt", a.duration_ms as "durationMs", a.url,
  a.status, a.error, w.id as "webhookId", w.list_id as "listId"`

const webhookOfAttempt = sql`left join endpoints p on p.id = a.endpoint_id left join webhooks w on w.id = p.webhook_id and w.deleted_at is null`

/**
 * Returns up to `limit` attempts of the filter before a key, latest first, from the next `maxScanned` attempts of its index.
 * Each filter has its own statement, whose plan reads one index backwards.
 */
export function listAttempts(db: Db, filter: LogFilter, before: LogKey, limit: number) {
  const { name, scope } = scopeOf(filter, before)
  return db.many<AttemptSummary>(
    `list_attempts_${name}`,
    sql`
    select ${summaryColumns}
      from (
        select s.* from (select * from delivery_attempts ${scope} limit ${maxScanned}) s
         where (${filter.types}::text[] is null or s.type = any(${filter.types}))
           and (${filter.outcomes}::text[] is null or s.outcome = any(${filter.outcomes}))
         order by s.started_at desc, s.id desc limit ${limit}
      ) a ${webhookOfAttempt}
     order by a.started_at desc, a.id desc`,
  )
}

/** Returns the key of the last of the `maxScanned` attempts that `listAttempts` compares; undefined if there are fewer. */
export function findScanEnd(db: Db, filter: LogFilter, before: LogKey) {
  const { name, scope } = scopeOf(filter, before)
  return db.maybeOne<LogKey>(
    `find_scan_end_${name}`,
    sql`
    select started_at as "startedAt", id from delivery_attempts ${scope} offset ${maxScanned - 1} limit 1`,
  )
}

/** Returns the condition and order of one index, and the name of that index. */
function scopeOf(filter: LogFilter, { startedAt, id }: LogKey): { name: string; scope: Sql } {
  const range = sql`(started_at, id) < (${startedAt}::timestamptz, ${id}::bigint)
                and started_at >= coalesce(${filter.since}::timestamptz, '-infinity')
              order by started_at desc, id desc`
  const { accountId, endpointId, phone, position } = filter
  const isFailed = filter.outcomes !== null && !filter.outcomes.includes('delivered')
  const failed = isFailed ? sql`outcome <> 'delivered' and` : sql``
  const suffix = isFailed ? '_failed' : ''
  const account = sql`account_id = ${accountId}`
  if (position !== null) {
    // an event has few attempts; + 0 excludes the index that has the order of the result
    const endpoint = sql`(${endpointId}::bigint is null or endpoint_id = ${endpointId})`
    const of = sql`where position = ${position} and ${endpoint} and account_id + 0 = ${accountId}`
    return { name: `position${suffix}`, scope: sql`${of} and ${failed} ${range}` }
  }
  if (phone !== null) {
    const endpoint = sql`(${endpointId}::bigint is null or endpoint_id = ${endpointId})`
    return {
      name: `phone${suffix}`,
      scope: sql`where ${account} and phone = ${phone} and ${endpoint} and ${failed} ${range}`,
    }
  }
  if (endpointId !== null) {
    return { name: `endpoint${suffix}`, scope: sql`where endpoint_id = ${endpointId} and ${failed} ${range}` }
  }
  return { name: `account${suffix}`, scope: sql`where ${account} and ${failed} ${range}` }
}

/** Returns an attempt of the account with its request and response, or undefined. */
export function findAttempt(db: Db, accountId: number, id: number) {
  return db.maybeOne<AttemptDetails>(
    'find_attempt',
    sql`
    select ${summaryColumns}, v.payload::text as payload, a.request_headers as "requestHeaders",
           a.response_headers as "responseHeaders", a.response
      from delivery_attempts a ${webhookOfAttempt} left join events v on v.position = a.position
     where a.id = ${id} and a.account_id = ${accountId}`,
  )
}

/** Returns the id of the endpoint of the account's webhook, or undefined. */
export async function findEndpointId(db: Db, accountId: number, webhookId: number): Promise<number | undefined> {
  const row = await db.maybeOne<{ id: number }>(
    'find_endpoint_of_webhook',
    /* sql */ `
    select p.id from endpoints p join webhooks w on w.id = p.webhook_id join lists l on l.id = w.list_id
     where w.id = $1 and p.account_id = $2 and w.deleted_at is null and l.deleted_at is null`,
    [webhookId, accountId],
  )
  return row?.id
}

/** The attempts that an operator follows: with null, of all accounts and webhooks. */
export type TailFilter = { accountId: number | null; endpointId: number | null; failedOnly: boolean }

/** An attempt as it is followed; without the phone. */
export type NewAttempt = Omit<AttemptSummary, 'phone' | 'listId'> & { accountId: number }

/** Returns the id of the last attempt that is recorded, 0 without any. */
export async function findLastAttemptId(db: Db): Promise<number> {
  const { id } = await db.one<{ id: number }>(
    'find_last_attempt_id',
    /* sql */ `select coalesce(max(id), 0) as id from delivery_attempts`,
  )
  return id
}

/** Returns the id of the last of the next `limit` attempts after an id, of all accounts, and their number; 0 without any. */
export function findTailEnd(db: Db, after: number, limit: number) {
  return db.one<{ last: number; count: number }>(
    'find_tail_end',
    /* sql */ `
    select coalesce(max(id), 0) as last, count(*) as count
      from (select id from delivery_attempts where id > $1 order by id limit $2) a`,
    [after, limit],
  )
}

/** Returns the attempts of a filter with ids above `after` up to `last`, in the order of their ids; compares all of them. */
export function listNewAttempts(
  db: Db,
  { accountId, endpointId, failedOnly }: TailFilter,
  { after, last }: { after: number; last: number },
) {
  return db.many<NewAttempt>(
    'list_new_attempts',
    sql`
    select a.id, a.account_id as "accountId", a.position, a.type, a.is_test as "isTest", a.attempt, a.outcome,
           a.started_at as "startedAt", a.duration_ms as "durationMs", a.url, a.status, a.error, p.webhook_id as "webhookId"
      from delivery_attempts a left join endpoints p on p.id = a.endpoint_id
     where a.id > ${after} and a.id <= ${last}
       and (${accountId}::bigint is null or a.account_id + 0 = ${accountId})
       and (${endpointId}::bigint is null or a.endpoint_id + 0 = ${endpointId})
       and (not ${failedOnly}::boolean or a.outcome <> 'delivered')
     order by a.id`,
  )
}
