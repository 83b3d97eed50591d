import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import { cleanDeadNumbers } from '../subscribers/clean.sql.ts'
import { countMoves } from './counters.sql.ts'
import { logTable, submitsTable } from './log-days.ts'
import type { Applied, AppliedReceipt } from './receipt.ts'
import { type TransitionName, to } from './transitions.ts'

/**
 * Applies a batch of receipts to the log rows of one day, in one commit with the counters, and returns the receipts
 * whose SMSC id is known on this day for that phone. A text is delivered when all its parts are, and bounced or expired
 * as soon as one part is; a dead number is cleaned from its list. A duplicate receipt, or one for a closed row, changes
 * nothing. A receipt for a text with parts still submitting is returned as early: the row must not end while a gateway
 * may still write to the phone. Callers must apply the returned opt-outs in the same transaction.
 */
export async function applyReceipts(
  db: Db,
  day: string,
  connectionId: number,
  receipts: AppliedReceipt[],
  at: Date,
): Promise<Applied> {
  const senders = receipts.map((receipt) => (/^\d{10}$/.test(receipt.shortCode) ? Number(receipt.shortCode) : null))
  const batch: Batch = {
    connectionId: param(connectionId),
    smscIds: param(receipts.map((receipt) => receipt.smscId)),
    phones: param(receipts.map((receipt) => receipt.phone)),
    senders: param(receipts.map((receipt, n) => (receipt.phone === null ? null : senders[n]))),
    states: param(receipts.map((receipt) => receipt.state)),
    reasons: param(receipts.map((receipt) => receipt.reason)),
    carrierStatuses: param(receipts.map((receipt) => receipt.carrierStatus)),
    at: param(at),
  }
  const apply = (from: AppliedFrom) =>
    db.one<Applied & { rows: number; moved: number }>(`apply_receipts_${from}_${day}`, applyTo(day, from, batch))
  const { known, optOuts, rows, moved } = await apply('sent')
  if (moved === rows) return { known, early: [], optOuts }
  // Nearly every row is `sent`; further statements run only if other states occur. They follow the order in which a row
  // changes state, so that a row that moves in the meantime is found by a later statement.
  const { early, states } = await listEarly(db, day, batch)
  const later: AppliedFrom[] = states.some((state) => state !== 'sent') ? ['queued', 'unknown', 'sent'] : ['sent']
  if (states.length > 0) for (const from of later) optOuts.push(...(await apply(from)).optOuts)
  // a row that was queued may be submitting by now
  if (states.includes('queued')) early.push(...(await listEarly(db, day, batch)).early)
  return { known: known.filter((index) => !early.includes(index)), early, optOuts }
}

/**
 * The parameters of a batch of receipts; all but the connection and the time are arrays, with one value per receipt.
 */
type Batch = Record<
  'connectionId' | 'smscIds' | 'phones' | 'senders' | 'states' | 'reasons' | 'carrierStatuses' | 'at',
  Sql
>

/** A join that adds the text (log_id, part) of each receipt of a relation `r`, by SMSC id, connection and phone. */
const textsOfReceipts = (day: string, { connectionId }: Batch) => sql`
         -- lateral and offset 0 force one plan, a look-up per receipt: a plan made while the day was empty once read
         -- the whole table for each batch
         cross join lateral (select log_id, part from ${submitsTable(day)} s
                              where s.smsc_id = r.smsc_id and s.connection_id = ${connectionId}
                                and (s.phone = r.phone or s.phone = r.sender or s.phone is null or r.phone is null)
                             offset 0) s`

/**
 * Returns the indexes of the receipts whose text is still submitting (the SMSC id of one part is stored before the
 * others), and the states of the other texts that a receipt can still change.
 */
function listEarly(db: Db, day: string, batch: Batch) {
  return db.one<{ early: number[]; states: AppliedFrom[] }>(
    `list_early_${day}`,
    sql`
    select coalesce(array_agg(distinct r.n) filter (where l.state = 'submitting'), '{}')::bigint[] as early,
           coalesce(array_agg(distinct l.state::text) filter (where l.state <> 'submitting'), '{}') as states
      from unnest(${batch.smscIds}::text[], ${batch.phones}::bigint[], ${batch.senders}::bigint[]) with ordinality
             as r(smsc_id, phone, sender, n)
      ${textsOfReceipts(day, batch)}
     cross join lateral (select state from ${logTable(day)} where id = s.log_id offset 0) l
     where l.state in ('submitting', 'queued', 'unknown', 'sent')`,
  )
}

/**
 * `queued` is a text that was unknown and has been requeued. A receipt ends it, so that it is not sent again, if the
 * first text was delivered, the person has opted out or the number is dead; otherwise the second text is sent.
 */
type AppliedFrom = 'sent' | 'queued' | 'unknown'

/** The transitions that receipts make from each state. */
const transitionsFrom: Record<AppliedFrom, [deliver: TransitionName, ...TransitionName[]]> = {
  sent: ['deliver', 'bounce', 'expire'],
  unknown: ['deliverUnknown', 'bounceUnknown', 'expireUnknown'],
  queued: ['deliverQueued', 'bounceQueued', 'expireQueued'],
}

/** In order of priority: a text's reason is the first of these that one of its parts has. */
const reasons = raw(`array['opted_out', 'hard', 'blocked', 'soft']`)

// part -1 means all parts in one PDU, so it sets every bit
function applyTo(day: string, from: AppliedFrom, batch: Batch): Sql {
  const isDelivered = (delivered: string) =>
    raw(`(l.parts_delivered | ${delivered}) & ((1 << l.part_count) - 1) = (1 << l.part_count) - 1`)
  const uniformDelivered = isDelivered('(select delivered from uniform)')
  const individualDelivered = isDelivered('p.delivered')
  const delivered = to(transitionsFrom[from][0])
  const state = raw(`'${from}'`)
  const table = logTable(day)
  // the flag remains until the row ends: receipts of its other parts are matched by phone and content too
  // a text in parts that gets only one receipt is delivered with it
  const onePerText = sql`(select receipts = 'one_per_text' from connections where id = ${batch.connectionId}::bigint)`
  const stillWithoutId = raw(`l.carrier_status = 'no id'`)
  return sql`
    with matches as materialized (
      select r.n, s.log_id, s.part, r.state, r.reason, r.carrier_status
        from unnest(${batch.smscIds}::text[], ${batch.phones}::bigint[], ${batch.senders}::bigint[], ${batch.states}::text[],
                    ${batch.reasons}::text[], ${batch.carrierStatuses}::text[]) with ordinality
               as r(smsc_id, phone, sender, state, reason, carrier_status, n)
        ${textsOfReceipts(day, batch)}
    ), per_row as materialized (
      select log_id,
             coalesce(bit_or(case when part < 0 or ${onePerText} then -1 else 1 << part end) filter (where state = 'delivered'), 0)
               as delivered,
             min(state) filter (where state <> 'delivered') as failure,
             (${reasons})[min(array_position(${reasons}, reason))] as reason,
             coalesce(min(carrier_status) filter (where state <> 'delivered'), min(carrier_status)) as carrier_status
        from matches group by log_id order by log_id
    ), uniform as materialized (
      -- nearly all receipts of a batch are equal: their rows are found by an array of ids, because a join that is
      -- planned while the day is small reads the whole day, and the cached plan still does so when the day has grown
      select array_agg(log_id) as ids, delivered, carrier_status
        from per_row where failure is null and delivered in (1, -1)
       group by delivered, carrier_status order by count(*) desc limit 1
    ), moved_uniform as (
      update ${table} l
         set parts_delivered = l.parts_delivered | (select delivered from uniform),
             state = case when ${uniformDelivered} then ${delivered} else l.state end,
             reason = null,
             carrier_status = case when ${stillWithoutId} and not (${uniformDelivered}) then l.carrier_status
                                   else (select carrier_status from uniform) end,
             closed_at = case when ${uniformDelivered} then ${batch.at}::timestamptz end
       where l.id = any((select ids from uniform)::bigint[]) and l.state = ${state}
      returning l.id, l.message_id, l.phone, l.state, l.reason, l.carrier_status
    ), others as materialized (
      select * from per_row
       where failure is not null or delivered is distinct from (select delivered from uniform)
          or carrier_status is distinct from (select carrier_status from uniform)
    ), moved_individual as (
      update ${table} l
         set parts_delivered = l.parts_delivered | p.delivered,
             state = case when p.failure is not null then p.failure::message_state
                          when ${individualDelivered} then ${delivered}
                          else l.state end,
             reason = case when p.failure is not null then p.reason end,
             carrier_status = case when ${stillWithoutId} and p.failure is null and not (${individualDelivered}) then l.carrier_status
                                   else p.carrier_status end,
             closed_at = case when p.failure is not null or ${individualDelivered} then ${batch.at}::timestamptz end
        from others p
       -- the array repeats the condition, so that every plan of the join reads these rows only
       where l.id = p.log_id and l.id = any((select array_agg(log_id) from others)::bigint[]) and l.state = ${state}
         ${raw(from === 'queued' ? `and (p.failure is null or p.reason in ('opted_out', 'hard'))` : '')}
      returning l.id, l.message_id, l.phone, l.state, l.reason, l.carrier_status
    ), moved as (
      select * from moved_uniform union all select * from moved_individual
    ), ${cleanDeadNumbers(batch.at)}, ended as (
      select * from moved where state <> ${state}
    ), counted as (${countMoves(transitionsFrom[from], {
      moved: 'ended',
      also: { clean_count: '(select count(*) from cleaned where cleaned.message_id = moved.message_id)' },
    })}
    )
    select coalesce((select array_agg(distinct n) from matches), '{}')::bigint[] as known,
           (select count(*) from per_row) as rows,
           (select count(*) from moved) as moved,
           (select coalesce(jsonb_agg(jsonb_build_object('logId', b.id, 'phone', b.phone, 'shortCode', b.code,
                                                         'carrierStatus', b.carrier_status)), '[]')
              from (select moved.id, moved.phone, moved.carrier_status,
                           (select s.code from messages m join short_codes s on s.id = m.short_code_id
                             where m.id = moved.message_id) as code
                      from moved where reason = 'opted_out') b) as "optOuts"`
}

/** Returns the days (YYYY-MM-DD) with log rows that a receipt may still change, the newest first. */
export async function listLogDays(db: Db): Promise<string[]> {
  const rows = await db.many<{ day: string }>(
    'list_log_days',
    /* sql */ `select day::text from unnest(open_log_days()) with ordinality as d(day, n) order by n`,
  )
  return rows.map(({ day }) => day)
}
