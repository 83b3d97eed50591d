/** A column of a subscriber `s` that is read along with the phone: what it is called, what it is, and what it is made from. */
export type AlsoRead = { name: string; from: string[]; as?: string }

/**
 * The CTEs `audience` (phone, subscribed, and what else is asked for), the next of list $2 after phone $3 in the order of
 * their phones, and `passed` (rows, last_phone), how far that looked: at most $5 subscribers. `tests` is an expression for
 * the audience as the API has it; all of the list belongs to it when there is none. It is the audience of the moment $4.
 */
export function audienceRows(tests: string | undefined, also: AlsoRead[] = []): string {
  const more = also.map(({ name, as }) => `, ${as ?? `s.${name}`} as ${name}`).join('')
  if (tests === undefined) {
    return /* sql */ `
    audience as materialized (
      select s.phone, s.state = 'subscribed' as subscribed ${more}
        from subscribers s
       where s.list_id = $2 and s.phone > $3 and ${belongs}
       order by s.phone
       limit $5
    ), passed as (
      select count(*) as rows, max(phone) as last_phone from audience
    )`
  }
  const columns = new Set(['tags', 'custom_fields', ...also.flatMap(({ from }) => from)])
  // the limit is on rows looked at, not on rows that pass: where few do, a slice would have to search the whole list
  return /* sql */ `
    wanted as materialized (
      select case when tests ? 'tags_any' then array(select jsonb_array_elements_text(tests -> 'tags_any')) end as tags_any,
             case when tests ? 'tags_all' then array(select jsonb_array_elements_text(tests -> 'tags_all')) end as tags_all,
             case when tests ? 'tags_none' then array(select jsonb_array_elements_text(tests -> 'tags_none')) end
               as tags_none,
             coalesce(tests -> 'custom_fields', '[]') as custom_fields
        from (select ${tests} as tests) given
    ), scanned as materialized (
      select phone, state, opted_in_at, opted_out_at, cleaned_at, ${[...columns].join(', ')}
        from subscribers
       where list_id = $2 and phone > $3
       order by phone
       limit $5
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
                    -- a value that was kept for a former field of another type cannot be compared
                    when 'gt' then jsonb_typeof(${value}) = jsonb_typeof(f.value) and ${value} > f.value
                    when 'lt' then jsonb_typeof(${value}) = jsonb_typeof(f.value) and ${value} < f.value
                    when 'contains' then position(lower(f.value #>> '{}') in lower(${value} #>> '{}')) > 0
                  end, false))
    ), passed as (
      select count(*) as rows, max(phone) as last_phone from scanned
    )`
}

// Who was subscribed to the list at the audience's moment, whatever became of them since.
const belongs = /* sql */ `
  s.opted_in_at <= $4 and (s.state = 'subscribed' or greatest(s.opted_out_at, s.cleaned_at) > $4)`

/** The value of the field that a test is of, as it is kept; null where there is none. */
const value = `nullif(s.custom_fields -> f.key, 'null')`

/** The next subscribers of message $1: all of its list, or those of them who pass the message's tests. */
export function audienceCtes(isFiltered: boolean): { name: string; ctes: string } {
  if (!isFiltered) return { name: 'all', ctes: audienceRows(undefined) }
  return { name: 'filtered', ctes: audienceRows('(select audience from messages where id = $1)') }
}
