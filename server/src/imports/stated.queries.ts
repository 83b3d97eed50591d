import type { Db } from '../db/db.ts'
import type { Slice } from './slices.queries.ts'
import { rowsTable, runUnprepared } from './staging.queries.ts'

export type StatedCounts = {
  added: number
  updated: number
  unchanged: number
  keptOptedOut: number
  optedOut: number
  cleaned: number
  /** Numbers that were to be inserted, and that were; they differ after a concurrent write. */
  toInsert: number
  inserted: number
}

/**
 * Applies the opt-outs and cleanings that the rows of a slice state, after the rest of the slice, and returns their
 * counts; each change has a row in the ledger. An opt-out takes precedence over all other rows of its number in the slice
 * and over a cleaning. A number that opted in by itself after the date of the opt-out stays subscribed.
 */
export async function applyStatedStates(
  db: Db,
  { importId, cursor, now }: Slice,
  last: { phone: number; line: number },
): Promise<StatedCounts> {
  const [counts] = await runUnprepared<StatedCounts>(
    db,
    /* sql */ `
    with slice as (
      select r.*, not exists (select from ${rowsTable(importId)} x where x.phone = r.phone and x.line > r.line) as is_last
        from ${rowsTable(importId)} r
       where (phone, line) > ($2::bigint, $3::bigint) and (phone, line) <= ($4::bigint, $5::bigint)
         and stated_state is not null
    ),
    -- one row per number; is_counted: its last row, which the counts of the slice omit, is one of these
    given as materialized (
      select distinct on (phone) slice.*, stated.is_counted
        from slice
        join (select phone, bool_or(is_last) as is_counted from slice group by phone) stated using (phone)
       order by phone, stated_state = 'unsubscribed' desc, line desc
    ),
    before as materialized (
      select s.phone, s.state from subscribers s
       where s.list_id = $1 and s.phone = any(array(select phone from given)) order by s.phone for update
    ),
    decided as materialized (
      select g.*, b.state,
             case when b.state is null then 'added'
                  when b.state = g.stated_state then 'unchanged'
                  when b.state = 'unsubscribed' then 'opted_out'
                  when exists (select from opts o
                                where o.list_id = $1 and o.phone = g.phone and o.kind = 'opt_in'
                                  and o.method not in ('import', 'api') and o.created_at > g.stated_at) then 'unchanged'
                  else 'updated' end as outcome
        from given g left join before b using (phone)
    ),
    inserted as (
      insert into subscribers (list_id, phone, state, first_name, last_name, email, zip_code, birthdate, gender, tags,
                               custom_fields, opt_in_method, subscribed_at, opted_out_at, cleaned_at, created_at)
      select $1, phone, stated_state, coalesce(first_name, ''), coalesce(last_name, ''), coalesce(email, ''),
             coalesce(zip_code, ''), coalesce(birthdate, ''), gender, coalesce(string_to_array(tags, ','), '{}'),
             coalesce(custom_fields, '{}'), 'import', consented_at,
             case stated_state when 'unsubscribed' then coalesce(stated_at, $6) end,
             case stated_state when 'cleaned' then coalesce(stated_at, $6) end, $6
        from decided where outcome = 'added'
      on conflict do nothing
      returning 1
    ),
    changed as (
      update subscribers s
         set state = d.stated_state, updated_at = $6,
             opted_out_at = case d.stated_state when 'unsubscribed' then coalesce(d.stated_at, $6) else s.opted_out_at end,
             cleaned_at = case d.stated_state when 'cleaned' then coalesce(d.stated_at, $6) else s.cleaned_at end
        from decided d
       where d.outcome = 'updated' and s.list_id = $1 and s.phone = d.phone
    ),
    ledger as (
      insert into opts (account_id, list_id, phone, kind, method, source, wording, consented_at, actor, created_at)
      select $7, $1, phone, case stated_state when 'unsubscribed' then 'opt_out' else 'cleaned' end, 'import', $8, null,
             stated_at, $9, $6
        from decided where outcome in ('added', 'updated')
    ),
    deltas as (
      insert into list_deltas (list_id, prefix, subscribed, unsubscribed, cleaned)
      select $1, phone / 100000, -count(*) filter (where state = 'subscribed'),
             count(*) filter (where stated_state = 'unsubscribed'),
             count(*) filter (where stated_state = 'cleaned') - count(*) filter (where state = 'cleaned')
        from decided where outcome in ('added', 'updated') group by phone / 100000 order by phone / 100000
    )
    select count(*) filter (where is_counted and outcome = 'added') as added,
           count(*) filter (where is_counted and outcome = 'updated') as updated,
           count(*) filter (where is_counted and outcome = 'unchanged') as unchanged,
           count(*) filter (where is_counted and outcome = 'opted_out') as "keptOptedOut",
           count(*) filter (where outcome in ('added', 'updated') and stated_state = 'unsubscribed') as "optedOut",
           count(*) filter (where outcome in ('added', 'updated') and stated_state = 'cleaned') as cleaned,
           count(*) filter (where outcome = 'added') as "toInsert",
           (select count(*) from inserted) as inserted
      from decided`,
    [
      cursor.listId,
      cursor.phone,
      cursor.line,
      last.phone,
      last.line,
      now,
      cursor.accountId,
      cursor.source,
      `import:${importId}`,
    ],
  )
  if (!counts) throw new Error('the statement of stated states returned no counts')
  return counts
}
