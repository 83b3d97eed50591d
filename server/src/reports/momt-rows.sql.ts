import { raw } from '../db/sql.ts'
import { isSelectedByClick } from '../links/clicked.sql.ts'
import { type Direction, momtColumns, rowColumns, statusOfState } from './momt-columns.ts'

// The rows of a MOMT report as PostgreSQL returns them: raw values, which momt-lines.ts renders. COPY has no parameters, so the statements
// read theirs from the setting `carillon.momt` (JSON), which `momt-slices.queries.ts` sets in the same transaction.

const status = `case l.state ${Object.entries(statusOfState)
  .map(([state, word]) => `when '${state}' then '${word}'`)
  .join(' ')} end`

/** The CTE `given` (ranges, ids, phone, carrier, statuses, list_id, message_id, reason, clicked, link) with the slice and the filters of its rows. */
const given = /* sql */ `
    with setting as materialized (select current_setting('carillon.momt')::json as j), given as materialized (
      select j -> 'ranges' as ranges, array(select json_array_elements_text(j -> 'ids')::bigint) as ids,
             (j ->> 'phone')::bigint as phone, j ->> 'carrier' as carrier, (j ->> 'list_id')::bigint as list_id,
             (j ->> 'message_id')::bigint as message_id, j ->> 'reason' as reason, j ->> 'clicked' as clicked, j ->> 'link' as link,
             case when json_typeof(j -> 'statuses') = 'array' then array(select json_array_elements_text(j -> 'statuses')) end as statuses
        from setting
    )`

/** The filters of a slice whose rows are compared; a condition without a filter would take time for each row. */
export type RowFilters = {
  phone: boolean
  carrier: boolean
  statuses: boolean
  replies: boolean
  reason: boolean
  clicked: boolean
}

/** Whether look-ups of numbers exist: without one, they are not joined. */
export type MomtTables = { hasLookUps: boolean }

const conditions = (given: [boolean, string][]) =>
  given.map(([isGiven, condition]) => (isGiven ? ` and ${condition}` : '')).join('')

const fieldsOf = (direction: Direction, { hasLookUps }: MomtTables) =>
  rowColumns(direction)
    .map(({ [direction]: { row = '' } }) => (hasLookUps || !row.startsWith('p.') ? row : 'null::text'))
    .join(', ')

const lookUpsOf = (phone: string, { hasLookUps }: MomtTables) =>
  hasLookUps ? /* sql */ `left join number_look_ups p on p.phone = ${phone}` : ''

const isSelected = isSelectedByClick(raw('g.clicked'), {
  messageId: raw('l.message_id'),
  phone: raw('l.phone'),
  linkId: raw('s.link_id'),
})

/**
 * Returns the statement of the MTs of a slice: those in ranges of log ids of messages, in a day's table. The first field of a row is the
 * number of its range's message in the slice. With `findByKeys` it loops over the ranges and the log rows in their order; sorting the
 * rows again would take a third of its time.
 */
export function mtRows(logTable: string, filters: RowFilters, tables: MomtTables): string {
  const { phone, carrier, statuses, reason, clicked } = filters
  return /* sql */ `${given}, slice as materialized (
      select s.n, s.message_id, s.first_id, s.last_id,
             ${clicked ? '(select id from links where message_id = s.message_id and link = g.link)' : 'null::bigint'} as link_id
        from given g
       cross join lateral json_to_recordset(g.ranges) as s (n int, message_id bigint, first_id bigint, last_id bigint)
    )
    select s.n, ${fieldsOf('mt', tables)}
      from given g
     cross join (select * from slice order by n) s
     cross join lateral (
        select * from ${logTable} where id between s.first_id and s.last_id and message_id = s.message_id order by id offset 0) l
      ${lookUpsOf('l.phone', tables)}
     where true${conditions([
       [phone, 'l.phone = g.phone'],
       [carrier, tables.hasLookUps ? 'p.carrier_name = g.carrier' : 'false'],
       [statuses, `${status} = any(g.statuses)`],
       [reason, 'l.reason = g.reason'],
       [clicked, `${isSelected}`],
     ])}`
}

/** Returns the statement of the MOs of a slice; the first field of a row is 0. */
export function moRows({ phone, carrier, replies }: RowFilters, tables: MomtTables): string {
  return /* sql */ `${given}
    select 0, ${fieldsOf('mo', tables)}
      from given g
      join inbound_messages i on i.id = any(g.ids)
      left join messages r on r.id = i.reply_message_id
      ${lookUpsOf('i.phone', tables)}
     where true${conditions([
       [phone, 'i.phone = g.phone'],
       [carrier, tables.hasLookUps ? 'p.carrier_name = g.carrier' : 'false'],
       [replies, '(g.list_id is null or r.list_id = g.list_id) and (g.message_id is null or r.id = g.message_id)'],
     ])}
     order by i.received_at, i.id`
}

/** The columns of messages `m`; times are microseconds since 1970. */
export const messageValues = momtColumns
  .flatMap(({ name, kind, mt: { message } }) =>
    message === undefined
      ? []
      : [`${kind === 'time' ? `(extract(epoch from ${message}) * 1000000)::bigint` : message} as ${name}`],
  )
  .join(', ')
