import { beforeEach, expect, test } from 'vitest'
import { linesOf, type ReportRow, useReports } from '../../test/momt-world.ts'
import { mortal } from '../../test/mortal-db.ts'
import { readWithArrow } from '../../test/parquet.ts'

// The Parquet files of reports, read by the reader of the Arrow project.

const world = useReports()
const { api, broadcast, change, complete, download, fillLog, order, read, run } = world
beforeEach(() => world.begin())

const fileOf = async (id: number) => (await download((await read(id)).s3_url)).rawPayload

async function fileOfSlices(rows: number): Promise<Buffer> {
  const { id } = await order({ is_parquet: true })
  await run(rows)
  return fileOf(id)
}

/** The rows in plain SQL; numbers are bigints, and times microseconds. */
const recount = () =>
  api.db.many<Record<string, string>>(
    'recount_parquet',
    `with texts as (
       select 'mt' as direction, l.id as momt_id, m.accepted_at as time,
              case when l.state in ('queued', 'submitting', 'sent') then 'pending' else l.state::text end as status,
              coalesce(l.closed_at, l.submitted_at) as status_at, l.submitted_at, l.reason, l.carrier_status,
              l.phone::text as phone_number, p.carrier_name as carrier, s.code as shortcode, m.list_id as campaign_id, i.name as campaign_name,
              m.id as message_id, m.name as message_name, m.kind as message_type, l.part_count as parts,
              coalesce(l.content, m.content) as content
         from message_log l join messages m on m.id = l.message_id join short_codes s on s.id = m.short_code_id
         left join lists i on i.id = m.list_id left join number_look_ups p on p.phone = l.phone
        where m.account_id = $1
        union all
       select 'mo', o.id, o.received_at, 'received', o.interpreted_at, null, null, null, o.phone::text, p.carrier_name, o.short_code, m.list_id,
              i.name, m.id, null, null, 1, o.content
         from inbound_messages o join short_codes s on s.code = o.short_code left join messages m on m.id = o.reply_message_id
         left join lists i on i.id = m.list_id left join number_look_ups p on p.phone = o.phone
        where s.account_id = $1
     )
     select direction, momt_id::text, (extract(epoch from time) * 1000000)::bigint::text as time, status,
            (extract(epoch from status_at) * 1000000)::bigint::text as status_at,
            (extract(epoch from submitted_at) * 1000000)::bigint::text as submitted_at, reason, carrier_status, phone_number, carrier,
            shortcode, campaign_id::text, campaign_name, message_id::text, message_name, message_type, parts::text, content
       from texts order by direction desc, texts.time, message_id, texts.momt_id`,
    [api.owner.accountId],
  )

const asText = (row: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(row).map(([key, value]) => [
      key,
      typeof value === 'bigint' || typeof value === 'number' ? `${value}` : value,
    ]),
  )

test('a Parquet file has the rows of a recount, with the types of their columns', async () => {
  await broadcast('😀 "two"\r\nlines\t')
  await fillLog()
  await change(
    `update message_log set carrier_status = '=1', closed_at = submitted_at + interval '1.234567 s' where phone % 3 = 0`,
  )
  const { report } = await complete({ is_parquet: true })
  expect(report).toMatchObject({ is_parquet: true, is_csv: false })
  expect(report.s3_url).toContain(`momt-report-${report.id}.parquet?`)
  const { rawPayload, headers } = await download(report.s3_url)
  expect(headers['content-type']).toBe('application/vnd.apache.parquet')
  const { columns, notes, rows } = readWithArrow(rawPayload)
  expect(rows.map(asText)).toEqual(await recount())
  expect(columns).toMatchObject({
    time: 'Timestamp<MICROSECOND, UTC>',
    momt_id: 'Int64',
    parts: 'Int32',
    content: 'Utf8',
  })
  expect(notes.time_zone).toBe('America/Los_Angeles')
  const { text } = await complete()
  expect(Object.keys(columns)).toEqual(Object.keys(linesOf(text)[0] as ReportRow))
})

test('a Parquet file has the same rows whatever the size of its slices, and none if there are none', async () => {
  const empty = readWithArrow(await fileOfSlices(7))
  expect(empty.rows).toEqual([])
  await fillLog()
  const { rows } = readWithArrow(await fileOfSlices(1_000))
  expect(rows).toHaveLength(133)
  for (const size of [1, 9]) expect(readWithArrow(await fileOfSlices(size)).rows).toEqual(rows)
})

test('the file of a worker that dies before any of its statements has the rows of one that does not', async () => {
  await fillLog()
  const { rows } = readWithArrow(await fileOfSlices(11))
  const { id } = await order({ is_parquet: true })
  let deaths = 0
  for (let survived = 0; (await read(id)).import_completed_at === null; survived++) {
    let remaining = survived
    await run(
      11,
      mortal(api.db, () => remaining-- === 0),
    ).catch(() => {})
    await change('update momt_reports set due_at = created_at, failures = 0 where import_completed_at is null')
    deaths++
  }
  expect(deaths).toBeGreaterThan(4)
  // the row groups may be others, because the sizes of slices depend on their times
  expect(readWithArrow(await fileOf(id)).rows).toEqual(rows)
  expect(await api.db.many('left', 'select from momt_report_row_groups')).toEqual([])
})

test.each([
  [{ is_csv: true }, 'is_parquet'],
  [{ gzip: true }, 'gzip'],
])('a Parquet file with %j is a 422', async (given, field) => {
  const response = await api.owner.post('/momt_reports', { ...world.period, is_parquet: true, ...given })
  expect(response).toMatchObject({ status: 422, body: { details: { [field]: [expect.any(String)] } } })
  expect((await api.owner.get('/momt_reports')).body.count).toBe(0)
})
