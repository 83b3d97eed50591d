import type { Db } from '../db/db.ts'
import { logTable, submitsTable } from '../log/log-days.ts'

export type ExplainedMessage = {
  id: number
  accountId: number
  listId: number | null
  shortCode: string
  kind: 'broadcast' | 'transactional' | 'system'
  status: string
  content: string
  isFiltered: boolean
  loggedOn: string | null
  acceptedAt: Date | null
  audienceAt: Date | null
  expandedAt: Date | null
  cancelledAt: Date | null
}

/** Returns the account's message, which must belong to the list unless `listId` is null. */
export function findExplainedMessage(db: Db, accountId: number, listId: number | null, messageId: number) {
  return db.maybeOne<ExplainedMessage>(
    'find_explained_message',
    /* sql */ `
    select m.id, m.account_id as "accountId", m.list_id as "listId", s.code as "shortCode", m.kind, m.status, m.content,
           m.audience is not null as "isFiltered", m.logged_on as "loggedOn", m.accepted_at as "acceptedAt",
           coalesce(m.starts_at, m.accepted_at) as "audienceAt", m.expanded_at as "expandedAt",
           m.cancelled_at as "cancelledAt"
      from messages m join short_codes s on s.id = m.short_code_id
     where m.id = $1 and m.account_id = $2 and ($3::bigint is null or m.list_id = $3)`,
    [messageId, accountId, listId],
  )
}

export type ExplainedRow = {
  id: number
  state: string
  reason: string | null
  carrierStatus: string | null
  content: string | null
  partCount: number
  partsDelivered: number
  submittedAt: Date | null
  closedAt: Date | null
  /** Time at which it was requeued, because neither a response nor a receipt arrived. */
  requeuedAt: Date | null
  /** Its chunk, if that differs from the chunk of the neighboring rows; otherwise null. */
  chunkId: number | null
}

/** Returns the log row of a number for a message; undefined if it has none. */
export function findExplainedRow(db: Db, day: string, messageId: number, phone: number) {
  return db.maybeOne<ExplainedRow>(
    `find_explained_row_${day}`,
    /* sql */ `
    select id, state, reason, carrier_status as "carrierStatus", content, part_count as "partCount",
           parts_delivered as "partsDelivered", submitted_at as "submittedAt", closed_at as "closedAt",
           requeued_at as "requeuedAt", chunk_id as "chunkId"
      from ${logTable(day)} where phone = $2 and message_id = $1
     order by id limit 1`,
    [messageId, phone],
  )
}

export type ExplainedSubmit = {
  part: number
  connection: string
  smscId: string
  writtenAt: Date | null
  responseMs: number | null
}

/** Returns the accepted submits of a text, at most a hundred. */
export function listExplainedSubmits(db: Db, day: string, logId: number) {
  return db.many<ExplainedSubmit>(
    `list_explained_submits_${day}`,
    /* sql */ `
    select s.part, c.name as connection, s.smsc_id as "smscId", s.written_at as "writtenAt", s.response_ms as "responseMs"
      from ${submitsTable(day)} s join connections c on c.id = s.connection_id
     where s.log_id = $1
     order by s.written_at nulls last, s.part limit 100`,
    [logId],
  )
}

export type ExplainedAttempt = {
  part: number
  connection: string
  writtenAt: Date | null
  responseMs: number | null
  outcome: string
}

/** Returns the rejected submits of a text, at most the first hundred. */
export function listExplainedAttempts(db: Db, logId: number) {
  return db.many<ExplainedAttempt>(
    'list_explained_attempts',
    /* sql */ `
    select a.part, c.name as connection, a.written_at as "writtenAt", a.response_ms as "responseMs", a.outcome
      from submit_attempts a join connections c on c.id = a.connection_id
     where a.log_id = $1
     order by a.written_at nulls last, a.part limit 100`,
    [logId],
  )
}

export type ExplainedChunk = { dueAt: Date; closesAt: Date | null; paused: boolean; leaseUntil: Date | null }

/** Returns the unfinished chunk that contains the row; undefined if it is finished. */
export function findExplainedChunk(db: Db, messageId: number, row: Pick<ExplainedRow, 'id' | 'chunkId'>) {
  return db.maybeOne<ExplainedChunk>(
    'find_explained_chunk',
    /* sql */ `
    select due_at as "dueAt", closes_at as "closesAt", paused,
           case when lease_until > clock_timestamp() then lease_until end as "leaseUntil"
      from send_chunks
     where message_id = $1 and first_log_id <= $2 and last_log_id >= $2 and done_at is null
       -- rows that wait for a retry have their own chunks in the same range
       and case when $3::bigint is null then attempt = 0 else id = $3 end
     order by first_log_id desc limit 1`,
    [messageId, row.id, row.chunkId],
  )
}

export type ExplainedConsent = {
  kind: 'opt_in_requested' | 'opt_in' | 'opt_out' | 'cleaned' | 'block_lifted'
  /** Whether the change applies to a list; otherwise it applies to the short code only. */
  isOfList: boolean
  method: string
  at: Date
}

/**
 * Returns the last fifty changes of the number's consent on the list, and those at the short code that changed no list,
 * newest first.
 */
export function listExplainedConsent(db: Db, listId: number | null, shortCode: string, phone: number) {
  return db.many<ExplainedConsent>(
    'list_explained_consent',
    /* sql */ `
    (select id, kind, true as "isOfList", method, created_at as at
       from opts where list_id = $1 and phone = $3 order by id desc limit 50)
     union all
    (select id, kind, false as "isOfList", method, created_at as at
       from opts
      where list_id is null and short_code_id = (select id from short_codes where code = $2) and phone = $3
      order by id desc limit 50)
      order by id desc limit 50`,
    [listId, shortCode, phone],
  )
}

/** Returns the time at which the number was blocked at the short code; undefined if it is not blocked. */
export async function findBlock(db: Db, shortCode: string, phone: number): Promise<Date | undefined> {
  const row = await db.maybeOne<{ since: Date }>(
    'find_explained_block',
    /* sql */ `
    select b.since from blocks b join short_codes s on s.id = b.short_code_id where s.code = $1 and b.phone = $2`,
    [shortCode, phone],
  )
  return row?.since
}
