import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import { cleanDeadNumbers } from '../subscribers/clean.sql.ts'
import { countMoves } from './counters.sql.ts'
import { logTable, submitsTable } from './log-days.ts'
import type { Applied, AppliedReceipt } from './receipt.ts'
import { type TransitionName, to } from './transitions.ts'

/**
 * Applies a batch of receipts to the log rows of one day, in one commit with the counters, and returns those whose SMSC id
 * is known on this day for that handset. A text is delivered when all its parts are, and bounced or expired as soon as one
 * is; a dead number leaves its list. A receipt that comes twice, or after the row is closed, changes nothing. One for a
 * part of a text whose other parts are still submitting is not known yet: it has to wait, because the row must not end
 * while a gateway may still write to the handset. Callers must apply the returned opt-outs in the same transaction.
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
  // Nearly every row is `sent`; the others are worth further statements when there are any. They follow the way that a
  // row goes, so that one which moves on meanwhile is met further along.
  const { early, states } = await listEarly(db, day, batch)
  const later: AppliedFrom[] = states.some((state) => state !== 'sent') ? ['queued', 'unknown', 'sent'] : ['sent']
  if (states.length > 0) for (const from of later) optOuts.push(...(await apply(from)).optOuts)
  // one that was queued may be on its way by now
  if (states.includes('queued')) early.push(...(await listEarly(db, day, batch)).early)
  return { known: known.filter((index) => !early.includes(index)), early, optOuts }
}

/** The parameters of a batch of receipts; all but the connection and the time are arrays, with one value per receipt. */
type Batch = Record<
  'connectionId' | 'smscIds' | 'phones' | 'senders' | 'states' | 'reasons' | 'carrierStatuses' | 'at',
  Sql
>

/** The texts (log_id, part) of the receipts of a relation `r`: by the SMSC id, the connection and the handset. */
const namedTexts = (day: string, { connectionId }: Batch) => sql`
         -- lateral and offset leave the planner one choice, a look-up per receipt: a plan made while the day was
         -- empty once read the whole table for each batch
         cross join lateral (select log_id, part from ${submitsTable(day)} s
                              where s.smsc_id = r.smsc_id and s.connection_id = ${connectionId}
                                and (s.phone = r.phone or s.phone = r.sender or s.phone is null or r.phone is null)
                             offset 0) s`

/**
 * The indexes of the receipts whose text is still submitting, because the id of one part is known before the others; and
 * the states of the others from which they can move.
 */
function listEarly(db: Db, day: string, batch: Batch) {
  return db.one<{ early: number[]; states: AppliedFrom[] }>(
    `list_early_${day}`,
    sql`
    select coalesce(array_agg(distinct r.n) filter (where l.state = 'submitting'), '{}')::bigint[] as early,
           coalesce(array_agg(distinct l.state::text) filter (where l.state <> 'submitting'), '{}') as states
      from unnest(${batch.smscIds}::text[], ${batch.phones}::bigint[], ${batch.senders}::bigint[]) with ordinality
             as r(smsc_id, phone, sender, n)
      ${namedTexts(day, batch)}
     cross join lateral (select state from ${logTable(day)} where id = s.log_id offset 0) l
     where l.state in ('submitting', 'queued', 'unknown', 'sent')`,
  )
}

/**
 * `queued` is a text that was unknown and waits to be sent again: it is not when it has arrived after all, or when the
 * person has opted out or the number is dead. A second text is sent when the first one failed in another way.
 */
type AppliedFrom = 'sent' | 'queued' | 'unknown'

/** The transitions that a receipt makes from a state. */
const endsOf: Record<AppliedFrom, [deliver: TransitionName, ...TransitionName[]]> = {
  sent: ['deliver', 'bounce', 'expire'],
  unknown: ['deliverUnknown', 'bounceUnknown', 'expireUnknown'],
  queued: ['deliverQueued', 'bounceQueued', 'expireQueued'],
}

/** By priority: the reason of a text is the first of these that one of its parts has. */
const reasons = raw(`array['opted_out', 'hard', 'blocked', 'soft']`)

// part -1 is all parts in one PDU: every bit
function applyTo(day: string, from: AppliedFrom, batch: Batch): Sql {
  const isDelivered = (delivered: string) =>
    raw(`(l.parts_delivered | ${delivered}) & ((1 << l.part_count) - 1) = (1 << l.part_count) - 1`)
  const alike = isDelivered('(select delivered from plain)')
  const otherwise = isDelivered('p.delivered')
  const delivered = to(endsOf[from][0])
  const state = raw(`'${from}'`)
  const table = logTable(day)
  // the receipts of its other parts have to find it in the same way
  const stillWithoutId = raw(`l.carrier_status = 'no id'`)
  return sql`
    with hit as materialized (
      select r.n, s.log_id, s.part, r.state, r.reason, r.carrier_status
        from unnest(${batch.smscIds}::text[], ${batch.phones}::bigint[], ${batch.senders}::bigint[], ${batch.states}::text[],
                    ${batch.reasons}::text[], ${batch.carrierStatuses}::text[]) with ordinality
               as r(smsc_id, phone, sender, state, reason, carrier_status, n)
        ${namedTexts(day, batch)}
    ), per_row as materialized (
      select log_id,
             coalesce(bit_or(case when part < 0 then -1 else 1 << part end) filter (where state = 'delivered'), 0)
               as delivered,
             min(state) filter (where state <> 'delivered') as failure,
             (${reasons})[min(array_position(${reasons}, reason))] as reason,
             coalesce(min(carrier_status) filter (where state <> 'delivered'), min(carrier_status)) as carrier_status
        from hit group by log_id order by log_id
    ), plain as materialized (
      -- nearly all receipts of a batch say the same: their rows are found by an array of ids, because a join that is
      -- planned while the day is small reads the whole day, and goes on reading it when the day has grown
      select array_agg(log_id) as ids, delivered, carrier_status
        from per_row where failure is null and delivered in (1, -1)
       group by delivered, carrier_status order by count(*) desc limit 1
    ), moved_alike as (
      update ${table} l
         set parts_delivered = l.parts_delivered | (select delivered from plain),
             state = case when ${alike} then ${delivered} else l.state end,
             reason = null,
             carrier_status = case when ${stillWithoutId} and not (${alike}) then l.carrier_status
                                   else (select carrier_status from plain) end,
             closed_at = case when ${alike} then ${batch.at}::timestamptz end
       where l.id = any((select ids from plain)::bigint[]) and l.state = ${state}
      returning l.id, l.message_id, l.phone, l.state, l.reason, l.carrier_status
    ), others as materialized (
      select * from per_row
       where failure is not null or delivered is distinct from (select delivered from plain)
          or carrier_status is distinct from (select carrier_status from plain)
    ), moved_otherwise as (
      update ${table} l
         set parts_delivered = l.parts_delivered | p.delivered,
             state = case when p.failure is not null then p.failure::message_state
                          when ${otherwise} then ${delivered}
                          else l.state end,
             reason = case when p.failure is not null then p.reason end,
             carrier_status = case when ${stillWithoutId} and p.failure is null and not (${otherwise}) then l.carrier_status
                                   else p.carrier_status end,
             closed_at = case when p.failure is not null or ${otherwise} then ${batch.at}::timestamptz end
        from others p
       -- the array says it once more: whatever the join's plan, it reads no other rows
       where l.id = p.log_id and l.id = any((select array_agg(log_id) from others)::bigint[]) and l.state = ${state}
         ${raw(from === 'queued' ? `and (p.failure is null or p.reason in ('opted_out', 'hard'))` : '')}
      returning l.id, l.message_id, l.phone, l.state, l.reason, l.carrier_status
    ), moved as (
      select * from moved_alike union all select * from moved_otherwise
    ), ${cleanDeadNumbers(batch.at)}, ended as (
      select * from moved where state <> ${state}
    ), counted as (${countMoves(endsOf[from], {
      moved: 'ended',
      also: { clean_count: '(select count(*) from cleaned where cleaned.message_id = moved.message_id)' },
    })}
    )
    select coalesce((select array_agg(distinct n) from hit), '{}')::bigint[] as known,
           (select count(*) from per_row) as rows,
           (select count(*) from moved) as moved,
           (select coalesce(jsonb_agg(jsonb_build_object('logId', b.id, 'phone', b.phone, 'shortCode', b.code,
                                                         'carrierStatus', b.carrier_status)), '[]')
              from (select moved.id, moved.phone, moved.carrier_status,
                           (select s.code from messages m join short_codes s on s.id = m.short_code_id
                             where m.id = moved.message_id) as code
                      from moved where reason = 'opted_out') b) as "optOuts"`
}

const isOpen = `(status = 'sending' or (status in ('sent', 'cancelled') and closed_at is null))`

/** The days that have log rows a receipt could still be for, the newest first. */
export async function listLogDays(db: Db): Promise<string[]> {
  const rows = await db.many<{ day: string }>(
    'list_log_days',
    /* sql */ `
    with recursive days as (
      select max(logged_on) as day from messages where ${isOpen}
      union all
      select (select max(logged_on) from messages where ${isOpen} and logged_on < days.day)
        from days where days.day is not null
    )
    select day::text from days where day is not null`,
  )
  return rows.map((row) => row.day)
}
