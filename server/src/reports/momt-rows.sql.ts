import { raw } from '../db/sql.ts'
import { isSelectedByClick } from '../links/clicked.sql.ts'
import { states } from '../log/transitions.ts'

// The rows of a MOMT report, in both formats, rendered by PostgreSQL. COPY has no parameters, so the statements read theirs from the setting
// `carillon.momt` (JSON), which `momt-slices.queries.ts` sets in the same transaction.

/** The status of a row in a report; the states of a text that may still arrive are `pending`. */
export const statusOfState: Record<(typeof states)[number], string> = {
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

/** The CTE `given` (ranges, ids, phone, carrier, statuses, list_id, message_id, reason, clicked, link) with the slice and the filters of its rows. */
const given = /* sql */ `
    with setting as materialized (select current_setting('carillon.momt')::json as j), given as materialized (
      select j -> 'ranges' as ranges, array(select json_array_elements_text(j -> 'ids')::bigint) as ids,
             (j ->> 'phone')::bigint as phone, j ->> 'carrier' as carrier, (j ->> 'list_id')::bigint as list_id,
             (j ->> 'message_id')::bigint as message_id, j ->> 'reason' as reason, j ->> 'clicked' as clicked, j ->> 'link' as link,
             case when json_typeof(j -> 'statuses') = 'array' then array(select json_array_elements_text(j -> 'statuses')) end as statuses
        from setting
    )`

/** The condition on the rows of a phone and its look-up `p`. */
const matchesFilters = (phone: string) => /* sql */ `
       (g.phone is null or ${phone} = g.phone) and (g.carrier is null or p.carrier_name = g.carrier)`

/** ISO 8601 in the session's time zone. */
const time = (value: string) => /* sql */ `to_char(${value}, 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM')`

/** `word` needs no escape in JSON; `text` is free text, which CSV makes safe for spreadsheet programs. */
type Kind = 'number' | 'word' | 'text'
/**
 * A column as expressions on the log row `l` and the look-up `p` of its number, and on the MO `i`, the message `r` that it replies
 * to, and `p`. `ofMessage` is an expression on the message `m`, which is computed once per message instead of once per row; if
 * there is `mt` as well, it stands for null.
 */
type Column = { kind: Kind; mt?: string; ofMessage?: string; mo: string }

/** The type of the message `m` in a report. */
export const typeOfMessage = `case when m.is_test then 'test' else m.kind end`

const none = 'null::text'
const columns: Record<string, Column> = {
  direction: { kind: 'word', ofMessage: `'mt'`, mo: `'mo'` },
  momt_id: { kind: 'number', mt: 'l.id', mo: 'i.id' },
  time: { kind: 'word', ofMessage: time('m.accepted_at'), mo: time('i.received_at') },
  status: { kind: 'word', mt: status, mo: `'received'` },
  status_at: { kind: 'word', mt: time('coalesce(l.closed_at, l.submitted_at)'), mo: time('i.interpreted_at') },
  submitted_at: { kind: 'word', mt: time('l.submitted_at'), mo: none },
  reason: { kind: 'word', mt: 'l.reason', mo: none },
  carrier_status: { kind: 'text', mt: 'l.carrier_status', mo: none },
  phone_number: { kind: 'word', mt: 'l.phone', mo: 'i.phone' },
  carrier: { kind: 'text', mt: 'p.carrier_name', mo: 'p.carrier_name' },
  shortcode: {
    kind: 'text',
    ofMessage: '(select code from short_codes where id = m.short_code_id)',
    mo: 'i.short_code',
  },
  campaign_id: { kind: 'number', ofMessage: 'm.list_id', mo: 'r.list_id' },
  campaign_name: {
    kind: 'text',
    ofMessage: '(select name from lists where id = m.list_id)',
    mo: '(select name from lists where id = r.list_id)',
  },
  message_id: { kind: 'number', ofMessage: 'm.id', mo: 'i.reply_message_id' },
  message_name: { kind: 'text', ofMessage: 'm.name', mo: none },
  message_type: { kind: 'word', ofMessage: typeOfMessage, mo: none },
  parts: { kind: 'number', mt: 'l.part_count', mo: '1' },
  content: { kind: 'text', mt: 'l.content', ofMessage: 'm.content', mo: 'i.content' },
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

const csvCell = (kind: Kind, value: string) => (kind === 'text' ? safeCell(value) : `${value}`)

/** Text of a JSON value. PostgreSQL builds a row of such texts in a third of the time of `json_build_object`. */
function jsonValue(kind: Kind, value: string): string {
  if (kind === 'number') return `coalesce((${value})::text, 'null')`
  return kind === 'word' ? `coalesce('"' || (${value}) || '"', 'null')` : `coalesce(to_json(${value})::text, 'null')`
}

const render = (format: Format) => (format === 'csv' ? csvCell : jsonValue)

/** The columns of messages, rendered: `content` of messages becomes `content_of_message`. */
function messageCells(format: Format): string {
  return Object.entries(columns)
    .flatMap(([name, { kind, ofMessage }]) =>
      ofMessage ? [`${render(format)(kind, ofMessage)} as ${name}_of_message`] : [],
    )
    .join(', ')
}

function cellsOf(direction: Direction, format: Format): { name: string; value: string }[] {
  return Object.entries(columns).map(([name, { kind, mt, ofMessage, mo }]) => {
    if (direction === 'mo') return { name, value: render(format)(kind, mo) }
    const rendered = `s.${name}_of_message`
    if (mt === undefined) return { name, value: rendered }
    const value = render(format)(kind, mt)
    return { name, value: ofMessage ? `case when ${mt} is null then ${rendered} else ${value} end` : value }
  })
}

/** The columns of a row for CSV, and one JSON object for JSON lines. */
function selectListOf(direction: Direction, format: Format): string {
  const cells = cellsOf(direction, format)
  if (format === 'csv') return cells.map(({ name, value }) => `${value} as ${name}`).join(', ')
  return `concat('{', ${cells.map(({ name, value }) => `'"${name}":', ${value}`).join(", ',', ")}, '}')`
}

const isSelected = isSelectedByClick(raw('g.clicked'), {
  messageId: raw('l.message_id'),
  phone: raw('l.phone'),
  linkId: raw('s.link_id'),
})

/**
 * Returns the statement of the MTs of a slice: those in ranges of log ids of messages, in a day's table. With `findByKeys` it loops over
 * the ranges and the log rows in their order; sorting the rows again would take a third of its time.
 */
export function mtRows(logTable: string, format: Format): string {
  return /* sql */ `${given}, slice as materialized (
      select s.n, s.message_id, s.first_id, s.last_id, ${messageCells(format)},
             (select id from links where message_id = s.message_id and link = g.link) as link_id
        from given g
       cross join lateral json_to_recordset(g.ranges) as s (n int, message_id bigint, first_id bigint, last_id bigint)
        join messages m on m.id = s.message_id
    )
    select ${selectListOf('mt', format)}
      from given g
     cross join (select * from slice order by n) s
     cross join lateral (
        select * from ${logTable} where id between s.first_id and s.last_id and message_id = s.message_id order by id offset 0) l
      left join number_look_ups p on p.phone = l.phone
     where ${matchesFilters('l.phone')} and (g.statuses is null or ${status} = any(g.statuses))
       and (g.reason is null or l.reason = g.reason) and (g.clicked is null or ${isSelected})`
}

/** Returns the statement of the MOs of a slice. */
export function moRows(format: Format): string {
  return /* sql */ `${given}
    select ${selectListOf('mo', format)}
      from given g
      join inbound_messages i on i.id = any(g.ids)
      left join messages r on r.id = i.reply_message_id
      left join number_look_ups p on p.phone = i.phone
     where ${matchesFilters('i.phone')} and (g.list_id is null or r.list_id = g.list_id)
       and (g.message_id is null or r.id = g.message_id)
     order by i.received_at, i.id`
}
