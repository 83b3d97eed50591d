import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import { nextAccount } from '../jobs/next-account.sql.ts'
import { maxTags } from '../subscribers/tags.schema.ts'
import { hasEveryTag, unionOfTags } from '../subscribers/tags.sql.ts'
import type { ImportStatus } from './imports.queries.ts'
import { rowsTable, runUnprepared } from './staging.queries.ts'

export type ImportCursor = {
  status: ImportStatus
  listId: number
  accountId: number
  source: string | null
  listDeleted: boolean
  /** Whether the list wants events of imports. */
  importEvents: boolean
  phone: number
  line: number
}

/** An import as work of its account. */
export type OpenImport = { id: number; failures: number }

const isDue = (now: Sql) =>
  sql`status in ('queued', 'running') and (retry_at is null or retry_at <= ${now}::timestamptz)`

/** Returns the first account above `after` with due imports, or the first of all; undefined if none is due. */
export async function findNextAccount(db: Db, after: number, now: Date): Promise<number | undefined> {
  const row = await db.maybeOne<{ accountId: number }>(
    'find_next_account_with_imports',
    nextAccount(raw('imports'), isDue(param(now)), after),
  )
  return row?.accountId
}

/** Returns the oldest due import of an account. */
export function findNextImport(tx: Db, accountId: number, now: Date) {
  return tx.maybeOne<OpenImport>(
    'find_next_import',
    sql`select id, failures from imports where account_id = ${accountId} and ${isDue(param(now))} order by id limit 1`,
  )
}

/** Sets the number of failed turns of an import, and when its next one is due. */
export function postponeImport(tx: Db, id: number, failures: number, until: Date) {
  return tx.exec('postpone_import', /* sql */ `update imports set failures = $2, retry_at = $3 where id = $1`, [
    id,
    failures,
    until,
  ])
}

/** Locks the import for a slice, so that two workers never apply the same slice. */
export function lockImport(db: Db, id: number) {
  return db.maybeOne<ImportCursor>(
    'lock_import',
    /* sql */ `
    select i.status, i.list_id as "listId", i.account_id as "accountId", i.source,
           l.deleted_at is not null as "listDeleted", l.import_events as "importEvents", i.cursor_phone as phone, i.cursor_line as line
      from imports i join lists l on l.id = i.list_id
     where i.id = $1 for update of i`,
    [id],
  )
}

export type SliceCounts = {
  rows: number
  added: number
  updated: number
  unchanged: number
  keptOptedOut: number
  subscribed: number
  /** Rows that state that their number opted out or was cleaned, which `applyStatedStates` applies. */
  stated: number
  /** Those of them that are the last row of their number, which the other counts omit. */
  lastStated: number
  skipReasons: Record<string, number>
  /** Numbers of rows that were written; they differ from `added` and `updated` after a concurrent write. */
  inserted: number
  changed: number
  lastPhone: number
  lastLine: number
}

export type Slice = { importId: number; cursor: ImportCursor; limit: number; now: Date }

/** The tags of the subscriber `s` with those of the row `j`. */
const withTags = unionOfTags(raw('s.tags'), raw("string_to_array(j.tags, ',')"))

/** Whether the subscriber `s` has all tags of the row `a`. */
const hasAllTags = hasEveryTag(raw('s.tags'), raw("string_to_array(a.tags, ',')"))

/**
 * Applies one slice and returns its counts. Opted-out and cleaned numbers do not change, nor do numbers that are blocked at
 * the list's short code; those are not added either. A blank cell does not change its field, and each new subscriber
 * gets a ledger row. Each write checks the state again, so a concurrent opt-out takes
 * precedence; `inserted` and `changed` then differ from `added` and `updated`.
 */
export async function applySlice(db: Db, { importId, cursor, limit, now }: Slice): Promise<SliceCounts> {
  // The joins below have one good plan, from the few rows of the slice into an index. While the first slices fill an
  // empty list, its statistics mislead the planner, so the other plans are disabled.
  await db.exec(
    'narrow_import_plans',
    /* sql */ `
    select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
           set_config('enable_seqscan', 'off', true)`,
  )
  const [counts] = await runUnprepared<SliceCounts>(
    db,
    /* sql */ `
    with staged as (
      -- one row more than the slice: the last row of a number takes precedence, so each row is compared with the next one
      select r.*, lead(r.phone) over (order by r.phone, r.line) is not distinct from r.phone as is_duplicate,
             row_number() over (order by r.phone, r.line) as n
        from (select * from ${rowsTable(importId)}
               where (phone, line) > ($2::bigint, $3::bigint) order by phone, line limit $4::int + 1) r
    ),
    classified as materialized (
      select a.*, s.state,
             case when is_duplicate then 'duplicate'
                  when a.stated_state is not null then 'stated'
                  when s.state = 'unsubscribed' or b.since is not null then 'opted_out'
                  when s.state is null then 'added'
                  when s.state = 'cleaned' then 'cleaned'
                  when s.state = 'pending'
                    or a.first_name <> s.first_name or a.last_name <> s.last_name or a.email <> s.email
                    or a.zip_code <> s.zip_code or a.birthdate <> s.birthdate
                    or a.gender is not null and a.gender is distinct from s.gender
                    or a.tags is not null and not (${hasAllTags})
                    or a.custom_fields is not null and not (a.custom_fields <@ s.custom_fields) then 'updated'
                  else 'unchanged' end as outcome
        from staged a left join lateral
             (select state, first_name, last_name, email, zip_code, birthdate, gender, tags, custom_fields
                from subscribers where list_id = $1 and phone = a.phone and not a.is_duplicate offset 0) s on true
        left join lateral
             (select since from blocks
               where short_code_id = (select short_code_id from lists where id = $1) and phone = a.phone offset 0) b on true
       where n <= $4::int
    ),
    inserted as (
      insert into subscribers (list_id, phone, state, first_name, last_name, email, zip_code, birthdate, gender, tags,
                               custom_fields, opt_in_method, subscribed_at, opted_in_at, created_at)
      select $1, phone, 'subscribed', coalesce(first_name, ''), coalesce(last_name, ''), coalesce(email, ''),
             coalesce(zip_code, ''), coalesce(birthdate, ''), gender, coalesce(string_to_array(tags, ','), '{}'),
             coalesce(custom_fields, '{}'), 'import', $5, $5, $5
        from classified where outcome = 'added'
      on conflict do nothing
      returning 1
    ),
    changed as (
      update subscribers s
         set state = 'subscribed', updated_at = $5,
             first_name = coalesce(j.first_name, s.first_name), last_name = coalesce(j.last_name, s.last_name),
             email = coalesce(j.email, s.email), zip_code = coalesce(j.zip_code, s.zip_code),
             birthdate = coalesce(j.birthdate, s.birthdate), gender = coalesce(j.gender, s.gender),
             tags = case when j.tags is null then s.tags
                         -- tags beyond the limit of a subscriber are left out
                         when cardinality(s.tags) + cardinality(string_to_array(j.tags, ',')) > ${maxTags}
                           and cardinality(${withTags}) > ${maxTags} then s.tags
                         else ${withTags} end,
             custom_fields = s.custom_fields || coalesce(j.custom_fields, '{}'),
             opt_in_method = coalesce(s.opt_in_method, 'import'),
             subscribed_at = coalesce(s.subscribed_at, $5),
             opted_in_at = case s.state when 'pending' then $5 else s.opted_in_at end,
             opt_in_requested_at = case s.state when 'pending' then null else s.opt_in_requested_at end
        from classified j
       where j.outcome = 'updated' and s.list_id = $1 and s.phone = j.phone and s.state = j.state
      returning 1
    ),
    ledger as (
      insert into opts (account_id, list_id, phone, kind, method, source, wording, consented_at, actor, created_at)
      select $6, $1, phone, 'opt_in', 'import', coalesce(consent_source, $7), consent_text, consented_at, $8, $5
        from classified where outcome = 'added' or outcome = 'updated' and state = 'pending'
    ),
    counted_ranges as (
      -- directly, not by deltas, because a slice has thousands of adjacent numbers
      insert into number_ranges as r (list_id, prefix, subscribed)
      select $1, prefix, count(*)
        from classified cross join lateral (values (phone / 100000), (phone / 10000000)) as ranges (prefix)
       where outcome = 'added' or outcome = 'updated' and state = 'pending'
       group by prefix
       -- in the same order as the fold of deltas, which prevents a deadlock between the two
       order by prefix
          on conflict (list_id, prefix) do update set subscribed = r.subscribed + excluded.subscribed
    ),
    listed_skips as (
      insert into import_skips (import_id, line, reason, value)
      select $9, line, outcome, phone from classified
       where outcome in ('duplicate', 'opted_out', 'cleaned')
         and line < (select case count(*) when 1000 then max(line) else 9e18 end from import_skips where import_id = $9)
       order by line limit 1000
    )
    select count(*) as rows,
           count(*) filter (where outcome = 'added') as added,
           count(*) filter (where outcome = 'updated') as updated,
           count(*) filter (where outcome = 'unchanged') as unchanged,
           count(*) filter (where outcome = 'opted_out') as "keptOptedOut",
           count(*) filter (where outcome = 'added' or outcome = 'updated' and state = 'pending') as subscribed,
           count(stated_state) as stated,
           count(*) filter (where outcome = 'stated') as "lastStated",
           jsonb_strip_nulls(jsonb_build_object(
             'duplicate', nullif(count(*) filter (where outcome = 'duplicate'), 0),
             'cleaned', nullif(count(*) filter (where outcome = 'cleaned'), 0))) as "skipReasons",
           (select count(*) from inserted) as inserted,
           (select count(*) from changed) as changed,
           max(phone) as "lastPhone",
           (select line from classified order by n desc limit 1) as "lastLine"
      from classified`,
    [
      cursor.listId,
      cursor.phone,
      cursor.line,
      limit,
      now,
      cursor.accountId,
      cursor.source,
      `import:${importId}`,
      importId,
    ],
  )
  if (!counts) throw new Error('the slice statement returned no counts')
  return counts
}

/** Deletes all skips of an import except the thousand with the lowest line numbers. */
export async function trimSkips(db: Db, importId: number) {
  await db.exec(
    'trim_import_skips',
    /* sql */ `
    delete from import_skips
     where import_id = $1
       and line > (select line from import_skips where import_id = $1 order by line offset 999 limit 1)`,
    [importId],
  )
}

/** Adds the slice to the import's counts and moves its cursor. */
export async function markSlice(db: Db, { importId, now }: Slice, counts: SliceCounts) {
  const skipped = Object.values(counts.skipReasons).reduce((sum, count) => sum + count, 0)
  await db.exec(
    'mark_import_slice',
    sql`
    update imports
       set status = 'running', started_at = coalesce(started_at, ${now}),
           added = added + ${counts.added}, updated = updated + ${counts.updated},
           unchanged = unchanged + ${counts.unchanged}, kept_opted_out = kept_opted_out + ${counts.keptOptedOut},
           skipped = skipped + ${skipped},
           skip_reasons = skip_reasons || (
             select coalesce(jsonb_object_agg(key, value::bigint + coalesce((skip_reasons ->> key)::bigint, 0)), '{}')
               from jsonb_each_text(${JSON.stringify(counts.skipReasons)}::jsonb)),
           cursor_phone = ${counts.lastPhone}, cursor_line = ${counts.lastLine}, failures = 0, retry_at = null
     where id = ${importId}`,
  )
}

/** Adds the numbers that a slice opted out or cleaned to the import's counts. */
export async function markStated(db: Db, importId: number, counts: { optedOut: number; cleaned: number }) {
  await db.exec(
    'mark_import_stated',
    /* sql */ `update imports set opted_out = opted_out + $2, cleaned = cleaned + $3 where id = $1`,
    [importId, counts.optedOut, counts.cleaned],
  )
}

/** Adds the new subscribers of a slice to the list's count; the slice itself counted their number ranges. */
export async function insertListDelta(db: Db, listId: number, subscribed: number) {
  await db.exec(
    'insert_import_list_delta',
    /* sql */ `insert into list_deltas (list_id, prefix, subscribed) values ($1, 0, $2)`,
    [listId, subscribed],
  )
}
