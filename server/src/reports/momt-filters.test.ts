import { beforeEach, describe, expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { firstPhone, linesOf, useReports } from '../../test/momt-world.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { sendSystemText } from '../messages/messages.ts'

// The filters of reports: each word and each key selects the rows of a recount in plain SQL, and anything else is a 422.

const world = useReports()
const { api, change, complete, fillLog } = world
beforeEach(() => world.begin())

/** Fills the log, and adds the test of a broadcast and a system text. */
async function fillAll() {
  const { first, second } = await fillLog()
  const path = `/lists/${world.list.id}/messages/${first}/test`
  expect((await api.owner.post(path, { phone_numbers: ['2065550150'] })).status).toBe(200)
  const { accountId } = api.owner
  const { id: listId, shortCodeId } = world.list
  const text = {
    accountId,
    listId,
    shortCodeId,
    phone: firstPhone + 51,
    content: 'Reply YES',
    consent: 'reply',
  } as const
  await sendSystemText(api.db, api.rt, text)
  while (await expandOnce(api.rt)) {}
  await change(
    `update message_log set reason = case when phone % 2 = 0 then 'hard' else 'soft' end where state = 'bounced'`,
  )
  return { first, second }
}

/** Returns the texts of the account in both directions that match the conditions; null stands for none of a direction. */
async function recount(mt: string | null, mo: string | null): Promise<string[]> {
  const rows = await api.db.many<{ id: string }>(
    `recount_${mt}_${mo}`,
    `select 'mt' || l.id as id from message_log l join messages m on m.id = l.message_id
       left join number_look_ups p on p.phone = l.phone
      where m.account_id = $1 and (${mt ?? false})
      union all
     select 'mo' || i.id from inbound_messages i join short_codes s on s.code = i.short_code
       left join messages r on r.id = i.reply_message_id left join number_look_ups p on p.phone = i.phone
      where s.account_id = $1 and (${mo ?? false})`,
    [api.owner.accountId],
  )
  return rows.map(({ id }) => id).sort()
}

const idsOf = (text: string) => linesOf(text).map(({ direction, momt_id }) => `${direction}${momt_id}`)

describe('each word of a filter selects the texts of a recount:', () => {
  test.each<[Record<string, unknown>, number, string | null, string | null]>([
    [{}, 135, 'true', 'true'],
    [{ direction: 'mt' }, 123, 'true', null],
    [{ direction: ' MO ' }, 12, null, 'true'],
    [{ status_array: ['pending'] }, 78, "l.state in ('queued', 'submitting', 'sent')", null],
    [{ status_array: ['unknown'] }, 5, "l.state = 'unknown'", null],
    [{ status_array: ['delivered'] }, 20, "l.state = 'delivered'", null],
    [{ status_array: ['bounced'] }, 10, "l.state = 'bounced'", null],
    [{ status_array: ['expired'] }, 3, "l.state = 'expired'", null],
    [{ status_array: ['suppressed'] }, 5, "l.state = 'suppressed'", null],
    [{ status_array: ['cancelled'] }, 2, "l.state = 'cancelled'", null],
    [{ status_array: ['received'] }, 12, null, 'true'],
    [{ status_array: ['Received', 'EXPIRED', 'expired'] }, 15, "l.state = 'expired'", 'true'],
    [{ status_array: [] }, 135, 'true', 'true'],
    [{ message_type: 'broadcast' }, 120, "m.kind = 'broadcast'", null],
    [{ message_type: 'transactional' }, 1, "m.kind = 'transactional' and l.phone = 2065550199", null],
    [{ message_type: 'system' }, 1, "m.kind = 'system'", null],
    [{ message_type: 'test' }, 1, "m.name like 'Test of message %'", null],
    [{ carrier: 'Verizon' }, 45, "p.carrier_name = 'Verizon'", "p.carrier_name = 'Verizon'"],
    [{ carrier: 'T-Mobile' }, 0, null, null],
    [{ phone_number: '(206) 555-0102' }, 3, 'l.phone = 2065550102', 'i.phone = 2065550102'],
    [{ phone_number: '+1 206-555-0199' }, 1, 'l.phone = 2065550199', 'i.phone = 2065550199'],
    [{ reason: ' hard ' }, 5, "l.reason = 'hard'", null],
    [{ reason: 'hard', status_array: ['received', 'delivered'] }, 0, null, null],
    [{ direction: 'mo', status_array: ['delivered'] }, 0, null, null],
    [{ direction: 'mo', message_type: 'broadcast' }, 0, null, null],
    [{ message_type: 'test', status_array: ['pending'], carrier: 'AT&T' }, 1, "m.name like 'Test%'", null],
  ])('%j', async (filters, count, mt, mo) => {
    await fillAll()
    const { report, text } = await complete(filters)
    const ids = idsOf(text)
    expect(ids.toSorted()).toEqual(await recount(mt, mo))
    expect(ids).toHaveLength(count)
    expect([report.mt_count, report.mo_count]).toEqual([
      ids.filter((id) => id.startsWith('mt')).length,
      ids.filter((id) => id.startsWith('mo')).length,
    ])
  })

  test('by list and short code, with the replies to texts of the list', async () => {
    await fillAll()
    const ofList = `m.list_id = ${world.list.id}`
    const { report, text } = await complete({ campaign: world.list.id })
    expect(report.campaign).toBe(world.list.id)
    expect(idsOf(text).sort()).toEqual(await recount(ofList, `r.list_id = ${world.list.id}`))
    expect([report.mt_count, report.mo_count]).toEqual([122, 6])
    const { shortCode } = api.owner
    expect((await complete({ shortcode: shortCode.code })).report.total_rows).toBe(135)
  })

  test('by message, with the replies to it; one of a stranger or a draft is a 422', async () => {
    const { first, second } = await fillLog()
    const { report, text } = await complete({ message_id: first })
    expect([report.mt_count, report.mo_count, report.message_id]).toEqual([60, 6, first])
    expect(idsOf(text).sort()).toEqual(await recount(`m.id = ${first}`, `r.id = ${first}`))
    expect((await complete({ message_id: second, status_array: ['pending'] })).report.total_rows).toBe(60)
    expect((await complete({ message_id: first, direction: 'mo', carrier: 'Verizon' })).report.mo_count).toBe(2)
    const draft = await api.owner.post(`/lists/${world.list.id}/messages`, {
      message: { content: 'Soup', draft: true },
    })
    const { id } = draft.body.message as { id: number }
    for (const [caller, message_id] of [
      [api.owner, id],
      [api.stranger, first],
    ] as const) {
      const { status, body } = await caller.post('/momt_reports', { ...world.period, message_id })
      expect([status, Object.keys(body.details as object)]).toEqual([422, ['message_id']])
    }
  })

  test('reports with any filters run one after the other on one connection', async () => {
    const { first: message_id } = await fillAll()
    const pairs = [
      [{ reason: 'hard', status_array: ['bounced'] }, 5],
      [{ campaign: world.list.id, status_array: ['bounced'] }, 10],
      [{ message_id, carrier: 'Verizon' }, 22],
      [{ message_id, clicked: 'none' }, 60],
    ] as const
    for (const [filters, count] of pairs)
      expect([filters, (await complete(filters)).report.total_rows]).toEqual([filters, count])
  })

  test('both ends of a period belong to it, and consecutive dates have no text in common', async () => {
    const end = '2031-03-02T19:00:00.000Z'
    for (const at of ['2031-03-02T18:59:59.999Z', end, '2031-03-02T23:59:59.999Z', '2031-03-03T00:00:00Z']) {
      world.clock.time = new Date(at)
      await world.broadcast('The pantry opens at nine.')
    }
    const connection = await make.connection(api.db)
    await change(
      `insert into inbound_messages (connection_id, short_code, phone, source_addr, content, raw, data_coding, received_at)
       values ($1, $2, ${firstPhone}, '1206', 'Thanks', '', 0, $3)`,
      [connection.id, api.owner.shortCode.code, end],
    )
    world.clock.time = new Date('2031-03-05T00:00:00Z')
    const counts: [date_from: string, date_to: string, mt: number, mo: number][] = [
      ['2031-03-02T18:00:00Z', end, 120, 1],
      [end, '2031-03-02T23:59:59.999Z', 120, 1],
      ['2031-03-02T18:00:00Z', '2031-03-02T18:59:59.999Z', 60, 0],
      ['2031-03-02', '2031-03-02', 180, 1],
      ['2031-03-03', '2031-03-03', 60, 0],
    ]
    for (const [date_from, date_to, mt, mo] of counts) {
      const { report, text } = await complete({ date_from, date_to })
      expect([date_from, date_to, report.mt_count, report.mo_count]).toEqual([date_from, date_to, mt, mo])
      expect(idsOf(text)).toHaveLength(mt + mo)
    }
  })

  test('a period of ten years has the same file as one of three days', async () => {
    await fillAll()
    const { text } = await complete()
    const decade = { date_from: '2021-03-02', date_to: '2031-03-03' }
    expect(await complete(decade)).toMatchObject({
      text,
      report: { total_rows: 135, date_from: '2021-03-02T00:00:00Z' },
    })
  })
})

describe('a report is rejected, and nothing is ordered, with', () => {
  const long = (length: number) => 'x'.repeat(length)
  test.each<[string, Record<string, unknown>]>([
    ['direction', { direction: 'up' }],
    ['direction', { direction: 'mt,mo' }],
    ['direction', { direction: 1 }],
    ['status_array', { status_array: ['lost'] }],
    ['status_array', { status_array: ['delivered', 'lost'] }],
    ['status_array', { status_array: ['queued'] }],
    ['status_array', { status_array: ['delivered,bounced'] }],
    ['status_array', { status_array: 'delivered' }],
    ['status_array', { status_array: Array.from({ length: 21 }, () => 'delivered') }],
    ['message_type', { message_type: 'poem' }],
    ['message_type', { message_type: ['broadcast'] }],
    ['phone_number', { phone_number: '123' }],
    ['phone_number', { phone_number: '1065550143' }],
    ['phone_number', { phone_number: 'Verizon' }],
    ['phone_number', { phone_number: long(41) }],
    ['carrier', { carrier: long(201) }],
    ['carrier', { carrier: 7 }],
    ['shortcode', { shortcode: long(41) }],
    ['shortcode', { shortcode: ['12345'] }],
    ['shortcode', { shortcode: '999999' }],
    ['shortcode', { shortcode: 'pantry' }],
    ['reason', { reason: long(101) }],
    ['reason', { reason: 'hrad' }],
    ['reason', { reason: 'hard,soft' }],
    ['clicked', { clicked: 'sometimes' }],
    ['clicked', { clicked: 'human' }],
    ['link', { link: 'https://cedar.example' }],
    ['campaign', { campaign: 0 }],
    ['campaign', { campaign: 1.5 }],
    ['campaign', { campaign: 'Pantry' }],
    ['campaign', { campaign: 999_999_999 }],
    ['message_id', { message_id: -1 }],
    ['message_id', { message_id: 999_999_999 }],
    ['is_csv', { is_csv: 'maybe' }],
    ['gzip', { gzip: 2 }],
    ['is_parquet', { is_parquet: 'yes please' }],
    ['date_from', { date_from: '2031-03-05T00:00:00Z', date_to: '2031-03-06T00:00:00Z' }],
    ['date_to', { date_from: '2031-03-02T00:00:00Z', date_to: '2031-03-01T00:00:00Z' }],
    ['date_to', { date_from: '2031-03-02', date_to: '2031-03-01' }],
  ])('a wrong %s: %j', async (field, given) => {
    const response = await api.owner.post('/momt_reports', { ...world.period, ...given })
    expect(response).toMatchObject({ status: 422, body: { code: 'invalid', details: expect.anything() } })
    expect(Object.keys(response.body.details as object).map((key) => key.replace(/[.[].*/, ''))).toEqual([field])
    expect((await api.owner.get('/momt_reports')).body.count).toBe(0)
  })

  test("another account's list", async () => {
    const { accountId, shortCode } = api.stranger
    const foreign = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
    const { status, body } = await api.owner.post('/momt_reports', { ...world.period, campaign: foreign.id })
    expect([status, body.details]).toEqual([422, { campaign: ['is not a list of this account'] }])
    expect((await api.owner.get('/momt_reports')).body.count).toBe(0)
  })

  test("another account's short code", async () => {
    const { code } = api.stranger.shortCode
    const { status, body } = await api.owner.post('/momt_reports', { ...world.period, shortcode: code })
    expect([status, body.details]).toEqual([422, { shortcode: ['is not a short code of this account'] }])
    expect((await api.owner.get('/momt_reports')).body.count).toBe(0)
  })
})
