import { states } from '../log/transitions.ts'

// The columns of a MOMT report, and where their values come from.

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

export type Direction = 'mt' | 'mo'
export type Format = 'json' | 'csv' | 'parquet'
/** The formats whose rows are lines of text. */
export type LineFormat = Exclude<Format, 'parquet'>

/**
 * `digits` is an integer that is no number, such as a phone number; `status` is the index of a word in `momtStatuses`; `word` is text of ours,
 * and `text` is free text, which CSV makes safe for spreadsheet programs.
 */
export type MomtKind = 'number' | 'digits' | 'time' | 'status' | 'word' | 'text'

/**
 * The source of a column: a constant, or an SQL expression on the log row `l` and the look-up `p` of its number; on the MO `i`, the message
 * `r` that it replies to, and `p`; or on the message `m` of a log row. Values of messages are read once per message instead of once per
 * row; if a column has `row`, too, that of the message stands for null.
 */
export type MomtSource = { constant?: string | null; row?: string; message?: string }

export type MomtColumn = { name: string; kind: MomtKind; mt: MomtSource; mo: MomtSource }

/** The most frequent state is compared first. */
const statusIndex = `case l.state ${['delivered' as const, ...states]
  .map((state) => `when '${state}' then ${momtStatuses.indexOf(statusOfState[state])}`)
  .join(' ')} end`

/** The type of the message `m` in a report. */
export const typeOfMessage = `case when m.is_test then 'test' else m.kind end`

const none: MomtSource = { constant: null }
const listName = (id: string) => `(select name from lists where id = ${id})`
const shortCode = '(select code from short_codes where id = m.short_code_id)'

export const momtColumns: readonly MomtColumn[] = [
  { name: 'direction', kind: 'word', mt: { constant: 'mt' }, mo: { constant: 'mo' } },
  { name: 'momt_id', kind: 'number', mt: { row: 'l.id' }, mo: { row: 'i.id' } },
  { name: 'time', kind: 'time', mt: { message: 'm.accepted_at' }, mo: { row: 'i.received_at' } },
  { name: 'status', kind: 'status', mt: { row: statusIndex }, mo: { row: `${momtStatuses.indexOf('received')}` } },
  {
    name: 'status_at',
    kind: 'time',
    mt: { row: 'coalesce(l.closed_at, l.submitted_at)' },
    mo: { row: 'i.interpreted_at' },
  },
  { name: 'submitted_at', kind: 'time', mt: { row: 'l.submitted_at' }, mo: none },
  { name: 'reason', kind: 'word', mt: { row: 'l.reason' }, mo: none },
  { name: 'carrier_status', kind: 'text', mt: { row: 'l.carrier_status' }, mo: none },
  { name: 'phone_number', kind: 'digits', mt: { row: 'l.phone' }, mo: { row: 'i.phone' } },
  { name: 'carrier', kind: 'text', mt: { row: 'p.carrier_name' }, mo: { row: 'p.carrier_name' } },
  { name: 'shortcode', kind: 'text', mt: { message: shortCode }, mo: { row: 'i.short_code' } },
  { name: 'campaign_id', kind: 'number', mt: { message: 'm.list_id' }, mo: { row: 'r.list_id' } },
  { name: 'campaign_name', kind: 'text', mt: { message: listName('m.list_id') }, mo: { row: listName('r.list_id') } },
  { name: 'message_id', kind: 'number', mt: { message: 'm.id' }, mo: { row: 'i.reply_message_id' } },
  { name: 'message_name', kind: 'text', mt: { message: 'm.name' }, mo: none },
  { name: 'message_type', kind: 'word', mt: { message: typeOfMessage }, mo: none },
  { name: 'parts', kind: 'number', mt: { row: 'l.part_count' }, mo: { row: '1' } },
  { name: 'content', kind: 'text', mt: { row: 'l.content', message: 'm.content' }, mo: { row: 'i.content' } },
]

/** Returns the columns whose values are in the rows of a direction, in the order of their fields. */
export const rowColumns = (direction: Direction) => momtColumns.filter((column) => column[direction].row !== undefined)
