import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'

const api = useApi({ clock: { now: () => new Date('2026-03-02T10:00:00.500Z') } })

const period = { date_from: '2026-02-01T00:00:00-07:00', date_to: '2026-02-28T23:59:59+01:00' }
type Report = { id: number } & Record<string, unknown>

test('a report is requested and returned, with every key in the order of the contract', async () => {
  const webhook_callback_url = 'http://localhost:3000/momt?x=1'
  const response = await api.owner.post('/momt_reports', { ...period, webhook_callback_url })
  const expected = {
    id: expect.any(Number),
    account_id: api.owner.accountId,
    s3_url: null,
    import_started_at: null,
    import_completed_at: null,
    total_rows: null,
    processed_rows: 0,
    percent_complete: 0,
    mo_count: 0,
    mt_count: 0,
    shortcode: null,
    date_range: 'json',
    ...period,
    campaign: null,
    carrier: null,
    phone_number: null,
    direction: null,
    status_array: null,
    created_at: '2026-03-02T02:00:00-08:00',
    updated_at: '2026-03-02T02:00:00-08:00',
    counts_calculated: false,
    type: null,
    is_csv: false,
    webhook_callback_url,
    run_errors: null,
    message_type: null,
    cancelled: null,
  }
  expect(response.status).toBe(200)
  expect(response.body).toEqual({ status: 'OK', momt_report: expected })
  const report = response.body.momt_report as Report
  expect(Object.keys(report)).toEqual(Object.keys(expected))
  expect((await api.owner.get(`/momt_reports/${report.id}`)).body).toEqual({ status: 'OK', momt_report: report })
})

test('a report has the progress of its run', async () => {
  const { id } = (await api.owner.post('/momt_reports', period)).body.momt_report as Report
  const shown = async () => (await api.owner.get(`/momt_reports/${id}`)).body.momt_report
  await api.db.exec(
    'start',
    `update momt_reports set import_started_at = now(), total_rows = 300, processed_rows = 299 where id = $1`,
    [id],
  )
  expect(await shown()).toMatchObject({ total_rows: 300, processed_rows: 299, percent_complete: 99 })
  await api.db.exec(
    'end',
    `update momt_reports set import_completed_at = now(), total_rows = 0, processed_rows = 0, counts_calculated = true
      where id = $1`,
    [id],
  )
  expect(await shown()).toMatchObject({ total_rows: 0, percent_complete: 100, counts_calculated: true })
})

test.each([
  ['2026-02-01T00:00:00Z', '2026-02-01T00:00:00Z'],
  ['2026-02-01 00:00:00+0530', '2026-02-01T00:00:00+05:30'],
])('the time %s is returned as %s', async (given, returned) => {
  const response = await api.owner.post('/momt_reports', { date_from: given, date_to: given, webhook_callback_url: '' })
  expect(response.body.momt_report).toMatchObject({
    date_from: returned,
    date_to: returned,
    webhook_callback_url: null,
  })
})

test.each([
  ['2026-02-01', '2026-02-28'],
  ['20260201', '20260228'],
  ['2/1/2026', '02/28/2026'],
])('the dates %s and %s are whole days in UTC', async (date_from, date_to) => {
  const response = await api.owner.post('/momt_reports', { date_from, date_to })
  expect(response.body.momt_report).toMatchObject({
    date_from: '2026-02-01T00:00:00Z',
    date_to: '2026-02-28T23:59:59Z',
  })
})

describe('a request is rejected with', () => {
  const timeError = 'must be a time with an offset, as 2031-05-06T09:00:00-07:00'
  test.each([
    ['an empty body', {}, { date_from: ["can't be blank"], date_to: ["can't be blank"] }],
    [
      'invalid dates',
      { date_from: '20260230', date_to: '2026-13-28' },
      { date_from: [timeError], date_to: [timeError] },
    ],
    ['a time without an offset', { ...period, date_to: '2026-02-28T00:00:00' }, { date_to: [timeError] }],
    ['a day that does not exist', { ...period, date_to: '2026-02-30T00:00:00Z' }, { date_to: [timeError] }],
    ['a number', { ...period, date_from: 20_260_201 }, { date_from: ['must be a string'] }],
    [
      'an end before the start',
      { ...period, date_to: '2026-02-01T06:59:59Z' },
      { date_to: ['must not be before date_from'] },
    ],
    [
      'an invalid callback URL',
      { ...period, webhook_callback_url: 'momt' },
      { webhook_callback_url: ['must be an http or https address'] },
    ],
    [
      'a private callback URL',
      { ...period, webhook_callback_url: 'http://10.0.0.7/' },
      { webhook_callback_url: ['must not be a private address'] },
    ],
    ['an envelope', { momt_report: period }, { date_from: ["can't be blank"], date_to: ["can't be blank"] }],
  ])('%s', async (_case, body, details) => {
    expect(await api.owner.post('/momt_reports', body)).toMatchObject({
      status: 422,
      body: { code: 'invalid', details },
    })
    expect(
      await api.db.many('reports', 'select from momt_reports where account_id = $1', [api.owner.accountId]),
    ).toEqual([])
  })
})

test('a report of another account, an unknown id and a malformed id are not found', async () => {
  const { id } = (await api.owner.post('/momt_reports', period)).body.momt_report as Report
  const notFound = {
    status: 404,
    body: { status: 'error', error: 'Momt report not found', code: 'momt_report_not_found' },
  }
  expect(await api.stranger.get(`/momt_reports/${id}`)).toMatchObject(notFound)
  for (const other of [id + 1_000, 'abc', '0'])
    expect(await api.owner.get(`/momt_reports/${other}`)).toMatchObject(notFound)
})
