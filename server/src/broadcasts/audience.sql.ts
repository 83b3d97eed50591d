import { join, param, raw, type Sql, sql } from '../db/sql.ts'
import type { SliceAudience } from '../log/slices.queries.ts'

/** A column that is read from subscriber `s` along with the phone: its name, the columns it needs, and its expression. */
export type ExtraColumn = { name: string; from: string[]; as?: Sql }

/** The next subscribers of a list after a phone, at most `rows` of them, and the moment at which the audience is taken. */
export type AudienceRange = { listId: number; cursorPhone: number; audienceAt: Date; rows: number }

/**
 * The CTEs `audience` (phone, subscribed, and the extra columns), the range's subscribers in the order of their phones,
 * and `passed` (rows, last_phone), the subscribers that were read. `tests` is an expression for the audience as the API
 * has it; without one the whole list belongs to the audience.
 */
export function audienceRows(range: AudienceRange, tests?: Sql, extra: ExtraColumn[] = []): Sql {
  const listId = param(range.listId)
  const after = param(range.cursorPhone)
  const at = param(range.audienceAt)
  const limit = param(range.rows)
  const more = join(
    extra.map(({ name, as }) => sql`, ${as ?? raw(`s.${name}`)} as ${raw(name)}`),
    '',
  )
  // subscribed at the audience's moment, whatever happened to the subscriber since
  const belongs = sql`s.opted_in_at <= ${at} and (s.state = 'subscribed' or greatest(s.opted_out_at, s.cleaned_at) > ${at})`
  if (tests === undefined) {
    return sql`
    audience as materialized (
      select s.phone, s.state = 'subscribed' as subscribed ${more}
        from subscribers s
       where s.list_id = ${listId} and s.phone > ${after} and ${belongs}
       order by s.phone
       limit ${limit}
    ), passed as (
      select count(*) as rows, max(phone) as last_phone from audience
    )`
  }
  const columns = new Set(['tags', 'custom_fields', ...extra.flatMap(({ from }) => from)])
  // the limit is on rows read, not on rows that pass: where few pass, a slice would have to search the whole list
  return sql`
    wanted as materialized (
      select case when tests ? 'tags_any' then array(select jsonb_array_elements_text(tests -> 'tags_any')) end as tags_any,
             case when tests ? 'tags_all' then array(select jsonb_array_elements_text(tests -> 'tags_all')) end as tags_all,
             case when tests ? 'tags_none' then array(select jsonb_array_elements_text(tests -> 'tags_none')) end
               as tags_none,
             coalesce(tests -> 'custom_fields', '[]') as custom_fields
        from (select ${tests} as tests) given
    ), scanned as materialized (
      select phone, state, opted_in_at, opted_out_at, cleaned_at, ${raw([...columns].join(', '))}
        from subscribers
       where list_id = ${listId} and phone > ${after}
       order by phone
       limit ${limit}
    ), audience as materialized (
      select s.phone, s.state = 'subscribed' as subscribed ${more}
        from scanned s cross join wanted w
       where ${belongs}
         and (w.tags_any is null or s.tags && w.tags_any)
         and (w.tags_all is null or s.tags @> w.tags_all)
         and (w.tags_none is null or not s.tags && w.tags_none)
         and not exists (
           select from jsonb_to_recordset(w.custom_fields) as f(key text, op text, value jsonb)
            where not coalesce(case f.op
                    when 'exists' then (${value} is not null) = (f.value <> 'false')
                    when 'eq' then ${value} = f.value
                    when 'ne' then ${value} is distinct from f.value
                    -- a value that was stored for a former field of another type cannot be compared
                    when 'gt' then jsonb_typeof(${value}) = jsonb_typeof(f.value) and ${value} > f.value
                    when 'lt' then jsonb_typeof(${value}) = jsonb_typeof(f.value) and ${value} < f.value
                    when 'contains' then position(lower(f.value #>> '{}') in lower(${value} #>> '{}')) > 0
                  end, false))
    ), passed as (
      select count(*) as rows, max(phone) as last_phone from scanned
    )`
}

/** The stored value of a test's field; null where there is none. */
const value = raw(`nullif(s.custom_fields -> f.key, 'null')`)

/** The next subscribers of a message: all of its list, or those of them who pass the message's tests. */
export function sliceAudience(range: AudienceRange, messageId: number, isFiltered: boolean): SliceAudience {
  if (!isFiltered) return { name: 'all', ctes: audienceRows(range) }
  return { name: 'filtered', ctes: audienceRows(range, sql`(select audience from messages where id = ${messageId})`) }
}
