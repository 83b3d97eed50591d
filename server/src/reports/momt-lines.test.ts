import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { to as copyTo } from 'pg-copy-streams'
import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { findByKeys } from '../db/by-keys.ts'
import { states } from '../log/transitions.ts'
import type { Direction, LineFormat } from './momt-columns.ts'
import { LineWriter } from './momt-lines.ts'
import { copySlice, type MomtFilters, type MomtSlice, type RowsOfSlice } from './momt-slices.queries.ts'

// The lines of reports with difficult cells, compared with those that PostgreSQL renders.

const api = useApi()
const day = '2031-03-02'
// zones whose rules are settled: the times of the API and of reports are those of Node, whose edition of the time zone database may differ
const zones = [
  ...['UTC', 'America/Los_Angeles', 'America/St_Johns', 'Asia/Kolkata', 'Asia/Kathmandu', 'Australia/Lord_Howe'],
  ...['Pacific/Chatham', 'Pacific/Kiritimati', 'Pacific/Marquesas'],
]

const pieces = [
  ...[
    '=',
    '+',
    '-',
    '@',
    '1',
    '0.42',
    '(206) 555-0100',
    '%',
    ' ',
    '\t',
    '\r',
    '\n',
    '\r\n',
    '"',
    ',',
    "'",
    '\\',
    '\\.',
    '\\N',
  ],
  ...[
    '\u0001',
    '\b',
    '\f',
    '\u000b',
    '\u001f',
    '\u007f',
    '😀',
    '＝',
    '＋',
    '－',
    '＠',
    '−',
    'é',
    '\u00a0',
    '\u2028',
    '\u3000',
    '\ufeff',
  ],
  ...['null', '{', 'sum(A1)', 'x'.repeat(300)],
]
const text = fc.array(fc.constantFrom(...pieces), { maxLength: 5 }).map((parts) => parts.join(''))
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null, freq: 3 })
// hours around the changes of offsets, and any time of two years
const changes = ['2031-03-09T10:00:00Z', '2031-11-02T09:00:00Z', '2031-04-05T15:00:00Z', '2031-10-04T15:30:00Z']
const time = fc.oneof(
  fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -3_700_000, max: 3_700_000 }))
    .map(([at, ms]) => Date.parse(at) + ms),
  fc.integer({ min: Date.parse('2030-01-01T00:00:00Z'), max: Date.parse('2032-01-01T00:00:00Z') }),
)
// microseconds: a time is cut to its second, not rounded
const instant = fc
  .tuple(time, fc.constantFrom('000', '499', '999'))
  .map(([ms, micros]) => new Date(ms).toISOString().replace('Z', `${micros}Z`))
const row = fc.record({
  state: fc.constantFrom(...states),
  submitted_at: orNull(instant),
  closed_at: orNull(instant),
  reason: orNull(fc.constantFrom('hard', 'opted_out')),
  carrier_status: orNull(text),
  phone: fc.integer({ min: 2_000_000_000, max: 9_999_999_999 }),
  part_count: fc.integer({ min: 1, max: 300 }),
  content: orNull(text),
  carrier_name: orNull(text),
})
const message = fc.record({ accepted_at: instant, name: orNull(text), content: text, is_of_list: fc.boolean() })

const safe = (value: string) => {
  const blank = '[\\u0009-\\u000d\\u0020\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff]*'
  return `case when ${value} ~ '^${blank}[-=+@\\u0009\\u000d\\u2212\\uff1d\\uff0b\\uff0d\\uff20]'
    and not ${value} ~ '^${blank}[-+]?[0-9][-0-9 .,()]*%?${blank}$' then concat('''', ${value}) else ${value} end`
}
const shown = (value: string) => `to_char(${value}, 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM')`

/** The rows of a direction in plain SQL. */
const recount = (direction: Direction, free: (value: string) => string) =>
  direction === 'mt'
    ? `select 'mt' as direction, l.id as momt_id, ${shown('m.accepted_at')} as time,
              case when l.state in ('queued', 'submitting', 'sent') then 'pending' else l.state::text end as status,
              ${shown('coalesce(l.closed_at, l.submitted_at)')} as status_at, ${shown('l.submitted_at')} as submitted_at, l.reason,
              ${free('l.carrier_status')} as carrier_status, l.phone::text as phone_number, ${free('p.carrier_name')} as carrier,
              ${free('s.code')} as shortcode, m.list_id as campaign_id, ${free('i.name')} as campaign_name, m.id as message_id,
              ${free('m.name')} as message_name, m.kind as message_type, l.part_count as parts,
              ${free('coalesce(l.content, m.content)')} as content
         from message_log l join messages m on m.id = l.message_id join short_codes s on s.id = m.short_code_id
         left join lists i on i.id = m.list_id left join number_look_ups p on p.phone = l.phone
        order by l.message_id, l.id`
    : `select 'mo' as direction, o.id as momt_id, ${shown('o.received_at')} as time, 'received' as status,
              ${shown('o.interpreted_at')} as status_at, null as submitted_at, null as reason, null as carrier_status,
              o.phone::text as phone_number, ${free('p.carrier_name')} as carrier, ${free('o.short_code')} as shortcode,
              m.list_id as campaign_id, ${free('i.name')} as campaign_name, m.id as message_id, null as message_name, null as message_type,
              1 as parts, ${free('o.content')} as content
         from inbound_messages o left join messages m on m.id = o.reply_message_id left join lists i on i.id = m.list_id
         left join number_look_ups p on p.phone = o.phone
        order by o.received_at, o.id`

async function rendered(direction: Direction, format: LineFormat): Promise<string> {
  return api.db.withClient(async (client) => {
    if (format === 'csv') {
      const copied = client.query(copyTo(`copy (${recount(direction, safe)}) to stdout (format csv)`))
      return (await buffer(copied)).toString()
    }
    const { rows } = await client.query(`select to_json(r) as line from (${recount(direction, (value) => value)}) r`)
    return rows.map(({ line }) => `${JSON.stringify(line)}\n`).join('')
  })
}

const noFilter: MomtFilters = {
  ...{ direction: null, statuses: null, messageType: null, shortCode: null, messageId: null, listId: null },
  ...{ carrier: null, phone: null, reason: null, clicked: null, link: null },
}

async function lines(slice: MomtSlice, format: LineFormat, timeZone: string): Promise<string> {
  const chunks: Buffer[] = []
  await api.db.tx(async (tx) => {
    await findByKeys(tx)
    const writerOf = (rows: RowsOfSlice) => new LineWriter({ ...rows, format, timeZone })
    await copySlice(tx, slice, noFilter, writerOf, async (all) => {
      for await (const chunk of all) chunks.push(chunk)
    })
  })
  return Buffer.concat(chunks).toString()
}

let statements = 0
const change = (sql: string, values: unknown[] = []) => api.db.exec(`change_lines_${++statements}`, sql, values)

const world = fc.record({
  zone: fc.constantFrom(...zones),
  listName: text,
  messages: fc.array(message, { minLength: 1, maxLength: 3 }),
  rows: fc.array(row, { minLength: 5, maxLength: 30, size: 'max' }),
  hasLookUps: fc.boolean(),
})

type World = typeof world extends fc.Arbitrary<infer W> ? W : never

test('difficult cells are those that PostgreSQL renders, in all time zones', async () => {
  const { accountId, shortCode } = api.owner
  const { id: connectionId } = await make.connection(api.db)
  const { id: listId } = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
  await change(`select ensure_log_day('${day}')`)
  const check = async ({ zone, listName, messages, rows, hasLookUps }: World) => {
    for (const table of ['inbound_messages', 'message_log', 'messages', 'number_look_ups'])
      await change(`delete from ${table}`)
    await change('update lists set name = $1', [listName])
    const ids = await api.db.many<{ id: number }>(
      'insert_messages',
      `insert into messages (account_id, list_id, short_code_id, kind, name, content, consent, part_count, status, logged_on, created_at,
                             accepted_at)
       select $1, case when (m ->> 'is_of_list')::boolean then $2::bigint end, $3, 'broadcast', m ->> 'name', m ->> 'content', 'subscribed', 1,
              'sent', $5, now(), (m ->> 'accepted_at')::timestamptz
         from json_array_elements($4::json) with ordinality as e (m, n) order by n returning id`,
      [accountId, listId, shortCode.id, JSON.stringify(messages), day],
    )
    const perMessage = Math.ceil(rows.length / ids.length)
    const logged = rows.map((each, n) => ({ ...each, id: n + 1, message_id: ids[Math.floor(n / perMessage)]?.id }))
    await change(
      `insert into message_log (id, logged_on, message_id, phone, state, reason, carrier_status, part_count, submitted_at, closed_at, content)
       select id, $2, message_id, phone, state, reason, carrier_status, part_count, submitted_at, closed_at, content
         from json_populate_recordset(null::message_log, $1)`,
      [JSON.stringify(logged), day],
    )
    await change(
      `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at, interpreted_at, reply_message_id)
       select $1, $2, case when state <> 'sent' then phone end, coalesce(content, ''), '', 0, coalesce(submitted_at, '2031-03-02T00:00:00Z'), closed_at,
              case when state <> 'bounced' then message_id end
         from json_populate_recordset(null::message_log, $3)`,
      [connectionId, shortCode.code, JSON.stringify(logged)],
    )
    const names = logged.filter(({ carrier_name }) => carrier_name !== null)
    if (hasLookUps) {
      await change(
        `insert into number_look_ups (phone, kind, carrier_name, looked_up_at)
         select phone, 'mobile', carrier_name, now() from json_to_recordset($1) as r (phone bigint, carrier_name text)
             on conflict do nothing`,
        [JSON.stringify(names)],
      )
    }
    const ranges = ids.map(({ id }, n) => ({ messageId: id, first: n * perMessage + 1, last: (n + 1) * perMessage }))
    const mos = await api.db.many<{ id: number }>('list_mos', 'select id from inbound_messages')
    await change(`set local timezone = '${zone}'`)
    for (const format of ['csv', 'json'] as const) {
      expect(await lines({ day, ranges }, format, zone)).toBe(await rendered('mt', format))
      expect(await lines({ ids: mos.map(({ id }) => id) }, format, zone)).toBe(await rendered('mo', format))
    }
  }
  await fc.assert(fc.asyncProperty(world, check), { numRuns: 40 })
})
