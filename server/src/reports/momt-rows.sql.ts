import { states } from '../log/transitions.ts'

// The rows of a MOMT report, in both formats. COPY has no parameters, so the statements read theirs from the setting
// `carillon.momt` (JSON), which `momt-slices.queries.ts` sets in the same transaction.

/** The status of a row in a report; the states of a text that may still arrive are `pending`. */
const statusOfState: Record<(typeof states)[number], string> = {
  queued: 'pending',
  submitting: 'pending',
  sent: 'pending',
  unknown: 'unknown',
  delivered: 'delivered',
  bounced: 'bounced',
  expired: 'expired',
  suppressed: 'suppressed',
  cancelled: 'cancelled',
}

/** The words of the filter by status. */
export const momtStatuses = [...new Set(Object.values(statusOfState)), 'received']

const status = `case l.state ${states.map((state) => `when '${state}' then '${statusOfState[state]}'`).join(' ')} end`

/** The CTE `given` (ranges, ids, phone, carrier, statuses, list_id) with the slice and the filters of its rows. */
const given = /* sql */ `
    with setting as materialized (select current_setting('carillon.momt')::json as j), given as materialized (
      select j -> 'ranges' as ranges, array(select json_array_elements_text(j -> 'ids')::bigint) as ids,
             (j ->> 'phone')::bigint as phone, j ->> 'carrier' as carrier, (j ->> 'list_id')::bigint as list_id,
             case when json_typeof(j -> 'statuses') = 'array' then array(select json_array_elements_text(j -> 'statuses')) end as statuses
        from setting
    )`

/** The condition on the rows of a phone and its look-up `p`. */
const matchesFilters = (phone: string) => /* sql */ `
       (g.phone is null or ${phone} = g.phone) and (g.carrier is null or p.carrier_name = g.carrier)`

/** ISO 8601 in the session's time zone. */
const time = (value: string) => /* sql */ `to_char(${value}, 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM')`

type Column = { mt: string; mo: string; isText?: boolean }

/** The columns in their order, as expressions on `l` (the log row), `m` (its message), `i` (the MO) and `p` (the look-up). */
const columns: Record<string, Column> = {
  direction: { mt: `'mt'`, mo: `'mo'` },
  momt_id: { mt: 'l.id', mo: 'i.id' },
  time: { mt: time('m.accepted_at'), mo: time('i.received_at') },
  status: { mt: status, mo: `'received'` },
  status_at: { mt: time('coalesce(l.closed_at, l.submitted_at)'), mo: time('i.interpreted_at') },
  submitted_at: { mt: time('l.submitted_at'), mo: 'null::text' },
  reason: { mt: 'l.reason', mo: 'null::text' },
  carrier_status: { mt: 'l.carrier_status', mo: 'null::text' },
  phone_number: { mt: 'l.phone::text', mo: 'i.phone::text' },
  carrier: { mt: 'p.carrier_name', mo: 'p.carrier_name', isText: true },
  shortcode: { mt: '(select code from short_codes where id = m.short_code_id)', mo: 'i.short_code' },
  campaign_id: { mt: 'm.list_id', mo: 'r.list_id' },
  campaign_name: {
    mt: '(select name from lists where id = m.list_id)',
    mo: '(select name from lists where id = r.list_id)',
    isText: true,
  },
  message_id: { mt: 'm.id', mo: 'i.reply_message_id' },
  message_name: { mt: 'm.name', mo: 'null::text', isText: true },
  message_type: { mt: 'm.kind', mo: 'null::text' },
  parts: { mt: 'l.part_count', mo: '1' },
  content: { mt: 'coalesce(l.content, m.content)', mo: 'i.content', isText: true },
}

export const momtColumns = Object.keys(columns)

/**
 * A cell that a spreadsheet program would run as a formula begins with an apostrophe. Numbers and phone numbers with a sign do not:
 * they are no formulas.
 */
const safeCell = (value: string) => /* sql */ `
  case when ${value} ~ '^\\s*[=+@\\t\\r\\u2212\\uff1d\\uff0b\\uff0d\\uff20-]' and ${value} !~ '^\\s*[+-]?[0-9][0-9 .,()-]*%?\\s*$'
       then '''' || ${value} else ${value} end`

export type Direction = 'mt' | 'mo'
export type Format = 'json' | 'csv'

/** The select list of a direction: columns for CSV, one JSON object for JSON lines. */
export function selectListOf(direction: Direction, format: Format): string {
  const cells = Object.entries(columns).map(([name, column]) => ({
    name,
    isText: column.isText,
    value: column[direction],
  }))
  if (format === 'csv') {
    return cells.map(({ name, value, isText }) => `${isText ? safeCell(value) : value} as ${name}`).join(',\n')
  }
  return `json_build_object(${cells.map(({ name, value }) => `'${name}', ${value}`).join(', ')})::text`
}

/** Returns the statement of the MTs of a slice: those in ranges of log ids of messages, in a day's table. */
export function mtRows(logTable: string, selectList: string): string {
  return /* sql */ `${given}
    select ${selectList}
      from given g
      cross join lateral json_to_recordset(g.ranges) as s (n int, message_id bigint, first_id bigint, last_id bigint)
      join messages m on m.id = s.message_id
      cross join lateral (
        select * from ${logTable} where id between s.first_id and s.last_id and message_id = s.message_id order by id offset 0) l
      left join number_look_ups p on p.phone = l.phone
     where ${matchesFilters('l.phone')} and (g.statuses is null or ${status} = any(g.statuses))
     order by s.n, l.id`
}

/** Returns the statement of the MOs of a slice. */
export function moRows(selectList: string): string {
  return /* sql */ `${given}
    select ${selectList}
      from given g
      join inbound_messages i on i.id = any(g.ids)
      left join messages r on r.id = i.reply_message_id
      left join number_look_ups p on p.phone = i.phone
     where ${matchesFilters('i.phone')} and (g.list_id is null or r.list_id = g.list_id)
     order by i.received_at, i.id`
}
