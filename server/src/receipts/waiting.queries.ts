import { markUsed } from '../connections/used.sql.ts'
import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import type { AppliedReceipt } from '../log/receipt.ts'

/** A receipt whose text may not be known yet. */
export type WaitingReceipt = AppliedReceipt & {
  connectionId: number
  /** Our user_message_reference if the carrier echoes it. */
  reference: number | null
  submitDate: string | null
  excerpt: string | null
  receivedAt: Date
}

/** A receipt whose state is missing or not known; it is never matched. */
export type UnreadReceipt = Omit<WaitingReceipt, 'state' | 'reason'> & { state: null; reason: null }

/** Stores receipts until their texts are known. */
export async function insertWaitingReceipts(db: Db, receipts: WaitingReceipt[]): Promise<void> {
  await insertReceipts(db, receipts, 'waiting')
}

/** Stores receipts that cannot be read, as orphans. */
export async function insertUnreadReceipts(db: Db, receipts: UnreadReceipt[]): Promise<void> {
  await insertReceipts(db, receipts, 'orphan')
}

async function insertReceipts(db: Db, receipts: (WaitingReceipt | UnreadReceipt)[], outcome: 'waiting' | 'orphan') {
  const column = <T>(of: (receipt: WaitingReceipt | UnreadReceipt) => T) => receipts.map(of)
  const connectionIds = param(column((r) => r.connectionId))
  await db.exec(
    'insert_receipts',
    sql`
    with ${markUsed(connectionIds)}
    insert into receipts (connection_id, smsc_id, phone, short_code, reference, state, reason, carrier_status,
                          submit_date, excerpt, received_at, retry_at, outcome, ended_at)
    select r.*, clock_timestamp() + interval '100 milliseconds', ${outcome}::text,
           case when ${outcome}::text <> 'waiting' then r.received_at end
      from unnest(${connectionIds}::smallint[], ${column((r) => r.smscId)}::text[],
                  ${column((r) => r.phone)}::bigint[], ${column((r) => r.shortCode)}::text[],
                  ${column((r) => r.reference)}::int[], ${column((r) => r.state)}::text[],
                  ${column((r) => r.reason)}::text[], ${column((r) => r.carrierStatus)}::text[],
                  ${column((r) => r.submitDate)}::text[], ${column((r) => r.excerpt)}::text[],
                  ${column((r) => r.receivedAt)}::timestamptz[])
             as r(connection_id, smsc_id, phone, short_code, reference, state, reason, carrier_status, submit_date, excerpt,
                  received_at)`,
  )
}

export type StoredReceipt = WaitingReceipt & { id: number }

/**
 * Claims up to `limit` waiting receipts that are due for another attempt, the longest due first, and sets the time of the attempt
 * after it: a fifth of a second later, doubled with each attempt, at most an hour. That time is set before the attempt, so that
 * receipts that fail do not keep the others from being claimed.
 */
export async function claimWaitingReceipts(db: Db, limit: number): Promise<StoredReceipt[]> {
  const receipts = await db.many<StoredReceipt>(
    'claim_waiting_receipts',
    /* sql */ `
    update receipts
       set attempts = attempts + 1,
           retry_at = clock_timestamp() + least(3600, 0.2 * 2 ^ least(attempts, 20)) * interval '1 second'
     where id = any(array(select id from receipts
                           where outcome = 'waiting' and retry_at <= clock_timestamp()
                           order by retry_at limit $1
                             for update skip locked))
    returning id, connection_id as "connectionId", smsc_id as "smscId", phone, short_code as "shortCode", reference,
              state, reason, carrier_status as "carrierStatus", submit_date as "submitDate", excerpt,
              received_at as "receivedAt"`,
    [limit],
  )
  return receipts.sort((a, b) => a.id - b.id)
}

/** Locks those of these receipts that are still waiting, and returns their ids; skips those that another gateway has locked. */
export async function lockWaitingReceipts(tx: Db, ids: number[]): Promise<Set<number>> {
  const rows = await tx.many<{ id: number }>(
    'lock_waiting_receipts',
    /* sql */ `
    -- offset 0 makes the planner use the primary key instead of the index of all waiting receipts
    select id from (select id, outcome from receipts where id = any($1::bigint[])
                     order by id offset 0 for update skip locked) locked
     where outcome = 'waiting'`,
    [ids],
  )
  return new Set(rows.map(({ id }) => id))
}

/** Ends the wait of receipts: `applied` by their id, `settled` by their phone, or `orphan`. */
export async function endReceipts(tx: Db, ids: number[], outcome: 'applied' | 'settled' | 'orphan', at: Date) {
  if (ids.length === 0) return
  await tx.exec(
    'end_receipts',
    /* sql */ `update receipts set outcome = $2, ended_at = $3 where id = any($1::bigint[])`,
    [ids, outcome, at],
  )
}

export type UnknownRow = { logId: number; loggedOn: string; part: number }

type FoundRow = UnknownRow & {
  content: string
  submittedAt: Date
  partCount: number
  byReference: boolean
  /** Its response, which contains its id, may still arrive. */
  awaitsResponse: boolean
}

/**
 * Returns the texts to the receipt's phone from its short code whose SMSC id is unknown, latest last: the candidates for a
 * receipt with an unknown id. `byReference` is true if the receipt echoes the reference of one of the text's parts.
 */
export function listUnknownRows(tx: Db, receipt: StoredReceipt, days: string[]) {
  return tx.many<FoundRow>(
    'list_unknown_rows',
    /* sql */ `
    select l.id as "logId", l.logged_on as "loggedOn", coalesce(l.content, m.content) as content,
           -- a text whose parts are all in one PDU gets one receipt
           case when c.long_text = 'payload' and l.part_count > 1 then -1 else coalesce($3::int & 15, 0) end as part,
           -- a requeued text has been submitted before, at an unknown time after its message was accepted
           coalesce(l.submitted_at, m.accepted_at) as "submittedAt", l.part_count as "partCount",
           l.state = 'submitting' as "awaitsResponse",
           coalesce(((l.id # (l.id >> 14)) & 4095) << 4 = $3::int & 65520 and $3::int & 15 < l.part_count
                    and l.parts_delivered & (1 << ($3::int & 15)) = 0, false) as "byReference"
      from log_rows(array[$1::bigint], $2::date[], null) l
      join messages m on m.id = l.message_id
      join short_codes s on s.id = m.short_code_id
      join connections c on c.id = $5
     where s.code = $4
       and (l.state in ('unknown', 'submitting') or l.state = 'sent' and l.carrier_status = 'no id'
            or l.state = 'queued' and l.requeued_at is not null)
     order by l.id`,
    [receipt.phone, days, receipt.reference, receipt.shortCode, receipt.connectionId],
  )
}

/**
 * Returns the open text to the receipt's phone whose SMSC id is one of these, on any connection; undefined if there is none or
 * more than one. The ids are other spellings of the receipt's id, and that id itself, which another connection to the same
 * account may have received. The phone must be the same, because another text may have one of these ids, too.
 */
export async function findByAlternativeId(tx: Db, receipt: StoredReceipt, ids: string[], days: string[]) {
  const rows = await tx.many<UnknownRow & { isOwnConnection: boolean }>(
    'find_by_alternative_id',
    /* sql */ `
    select s.log_id as "logId", s.logged_on as "loggedOn", s.part, s.connection_id = $2 as "isOwnConnection"
      from submits_with_ids($1::text[], $3::date[]) s
     where s.phone = $4 and s.state in ('sent', 'unknown', 'queued')
       -- the receipt's own id on its own connection was looked up before, without success
       and (s.smsc_id <> $5 or s.connection_id <> $2)
     limit 3`,
    [ids, receipt.connectionId, days, receipt.phone, receipt.smscId],
  )
  const own = rows.filter((row) => row.isOwnConnection)
  const candidates = own.length > 0 ? own : rows
  return candidates.length === 1 ? candidates[0] : undefined
}

/**
 * Returns the open text with the receipt's SMSC id, although it was sent to another number, because some carriers write phone
 * numbers differently in receipts. Undefined if there is none or more than one, or if a text to the receipt's number is open.
 */
export async function findByIdOnly(tx: Db, receipt: StoredReceipt, days: string[]) {
  const rows = await tx.many<UnknownRow>(
    'find_by_id_only',
    /* sql */ `
    select s.log_id as "logId", s.logged_on as "loggedOn", s.part
      from submits_with_ids(array[$1::text], $3::date[]) s
     where s.connection_id = $2 and s.state = 'sent'
       and not exists (select from log_rows(array[$4::bigint], $3::date[], null) o
                        where o.state in ('sent', 'unknown', 'submitting', 'queued'))
     limit 2`,
    [receipt.smscId, receipt.connectionId, days, receipt.phone],
  )
  return rows.length === 1 ? rows[0] : undefined
}
