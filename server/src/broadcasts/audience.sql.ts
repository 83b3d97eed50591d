import { join, param, raw, type Sql, sql } from '../db/sql.ts'
import { isSelectedByClick } from '../links/clicked.sql.ts'
import type { SliceAudience } from '../log/slices.queries.ts'

/** A column that is read from subscriber `s` besides the phone: its name, the columns it needs, and its expression. */
export type ExtraColumn = { name: string; from: string[]; as?: Sql }

/**
 * The next subscribers of a list after a phone, at most `rows` of them, and the time at which the audience is taken.
 */
export type AudienceRange = { listId: number; cursorPhone: number; audienceAt: Date; rows: number }

/**
 * Returns the CTEs `audience` (phone, subscribed, and the extra columns), the range's recipients in the order of their
 * phones, and `progress` (rows, last_phone), the subscribers that were read. `filters` is an expression for the
 * audience as the API represents it; undefined means the whole list.
 */
export function audienceRows(range: AudienceRange, filters?: Sql, extra: ExtraColumn[] = []): Sql {
  const listId = param(range.listId)
  const after = param(range.cursorPhone)
  const at = param(range.audienceAt)
  const limit = param(range.rows)
  const extraColumns = join(
    extra.map(({ name, as }) => sql`, ${as ?? raw(`s.${name}`)} as ${raw(name)}`),
    '',
  )
  // subscribed when the audience is taken, even if they have opted out since
  const isMember = sql`s.opted_in_at <= ${at} and (s.state = 'subscribed' or greatest(s.opted_out_at, s.cleaned_at) > ${at})`
  if (filters === undefined) {
    return sql`
    audience as materialized (
      select s.phone, s.state = 'subscribed' as subscribed ${extraColumns}
        from subscribers s
       where s.list_id = ${listId} and s.phone > ${after} and ${isMember}
       order by s.phone
       limit ${limit}
    ), progress as (
      select count(*) as rows, max(phone) as last_phone from audience
    )`
  }
  const columns = new Set(['tags', 'custom_fields', ...extra.flatMap(({ from }) => from)])
  // the limit is on rows read, not on matching rows: if few rows match, a slice would have to search the whole list
  return sql`
    criteria as materialized (
      select case when filters ? 'tags_any' then array(select jsonb_array_elements_text(filters -> 'tags_any')) end as tags_any,
             case when filters ? 'tags_all' then array(select jsonb_array_elements_text(filters -> 'tags_all')) end as tags_all,
             case when filters ? 'tags_none' then array(select jsonb_array_elements_text(filters -> 'tags_none')) end
               as tags_none,
             coalesce(filters -> 'custom_fields', '[]') as custom_fields,
             -- the link of a test is resolved once, not for each subscriber
             (select coalesce(jsonb_agg(jsonb_build_object('message_id', t.message_id, 'clicked', t.clicked, 'link_id', k.id)), '[]')
                from jsonb_to_recordset(coalesce(filters -> 'clicks', '[]')) as t(message_id bigint, clicked text, link text)
                left join links k on k.message_id = t.message_id and k.link = t.link) as clicks
        from (select ${filters} as filters) given
    ), scanned as materialized (
      select phone, state, opted_in_at, opted_out_at, cleaned_at, ${raw([...columns].join(', '))}
        from subscribers
       where list_id = ${listId} and phone > ${after}
       order by phone
       limit ${limit}
    ), audience as materialized (
      select s.phone, s.state = 'subscribed' as subscribed ${extraColumns}
        from scanned s cross join criteria c
       where ${isMember}
         and (c.tags_any is null or s.tags && c.tags_any)
         and (c.tags_all is null or s.tags @> c.tags_all)
         and (c.tags_none is null or not s.tags && c.tags_none)
         and not exists (
           select from (select s.custom_fields || '{}'::jsonb as fields offset 0) own
            cross join jsonb_to_recordset(c.custom_fields) as t(key text, op text, value jsonb)
            where not coalesce(case t.op
                    when 'exists' then (${value} is not null) = (t.value <> 'false')
                    when 'eq' then ${value} = t.value
                    when 'ne' then ${value} is distinct from t.value
                    -- a value that was stored for a deleted field of another type cannot be compared
                    when 'gt' then jsonb_typeof(${value}) = jsonb_typeof(t.value) and ${value} > t.value
                    when 'lt' then jsonb_typeof(${value}) = jsonb_typeof(t.value) and ${value} < t.value
                    when 'contains' then position(lower(t.value #>> '{}') in lower(${value} #>> '{}')) > 0
                  end, false))
         and not exists (
           select from jsonb_to_recordset(c.clicks) as t(message_id bigint, clicked text, link_id bigint)
            where not ${isSelectedByClick(raw('t.clicked'), {
              messageId: raw('t.message_id'),
              phone: raw('s.phone'),
              linkId: raw('t.link_id'),
              until: at,
            })})
    ), progress as (
      select count(*) as rows, max(phone) as last_phone from scanned
    )`
}

/**
 * The subscriber's stored value of the test's field; null if there is none. `own` has the fields decompressed, once for
 * all tests: they may be 2 MB.
 */
const value = raw(`nullif(own.fields -> t.key, 'null')`)

/**
 * Returns the CTEs of the next recipients of a message: all subscribers of its list, or those who match its filters.
 */
export function sliceAudience(range: AudienceRange, messageId: number, isFiltered: boolean): SliceAudience {
  if (!isFiltered) return { name: 'all', ctes: audienceRows(range) }
  return { name: 'filtered', ctes: audienceRows(range, sql`(select audience from messages where id = ${messageId})`) }
}
