import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'
import { make } from '../../test/make.ts'
import { listWrongCounts } from '../../test/number-ranges.ts'
import { type ConsentCells, readConsent } from './consent-state.ts'

const blank: ConsentCells = {
  status: undefined,
  optedIn: undefined,
  optedOut: undefined,
  unsubscribedAt: undefined,
  cleanedAt: undefined,
  consentedAt: null,
}

const march = '2025-03-04T00:00:00.000Z'

const stated: [cells: Partial<ConsentCells>, expected: string | undefined][] = [
  [{}, undefined],
  [{ status: '' }, undefined],
  [{ status: 'Subscribed' }, undefined],
  [{ status: 'ACTIVE', unsubscribedAt: '' }, undefined],
  [{ status: 'Opted-Out' }, 'unsubscribed'],
  [{ status: 'unsubscribed', unsubscribedAt: '3/4/2025' }, `unsubscribed ${march}`],
  [{ status: 'Cleaned', cleanedAt: '2025-03-04' }, `cleaned ${march}`],
  [{ status: 'bounced' }, 'cleaned'],
  [{ status: 'NEVER_SUBSCRIBED' }, 'not_opted_in'],
  [{ status: 'pending' }, 'not_opted_in'],
  [{ status: 'Gold' }, 'unknown_consent_state'],
  [{ unsubscribedAt: '2025-03-04' }, `unsubscribed ${march}`],
  [{ unsubscribedAt: '0000-00-00' }, undefined],
  [{ unsubscribedAt: '-' }, undefined],
  [{ unsubscribedAt: '0001-01-01 00:00:00' }, undefined],
  [{ unsubscribedAt: '1/0/1900' }, undefined],
  [{ unsubscribedAt: '1970-01-01T00:00:00Z' }, undefined],
  [{ unsubscribedAt: '1/1/1970 0:00' }, undefined],
  [{ unsubscribedAt: '1/1/2001' }, 'unsubscribed 2001-01-01T00:00:00.000Z'],
  [{ unsubscribedAt: '\u2714\ufe0f' }, 'unsubscribed'],
  [{ status: 'Gold', unsubscribedAt: '2025-03-04' }, `unsubscribed ${march}`],
  [{ status: 'Opted out (STOP)' }, 'unsubscribed'],
  [{ status: 'Gold', optedIn: 'STOP' }, 'unsubscribed'],
  [{ unsubscribedAt: 'some day' }, 'unsubscribed'],
  [{ status: 'Subscribed', unsubscribedAt: '2025-03-04', consentedAt: '2025-03-05T00:00:00.000Z' }, undefined],
  [{ status: 'Subscribed', unsubscribedAt: '2025-03-04', consentedAt: null }, `unsubscribed ${march}`],
  [{ unsubscribedAt: '2025-03-04', consentedAt: '2025-03-05T00:00:00.000Z' }, `unsubscribed ${march}`],
  [{ status: 'Cleaned', optedOut: 'yes' }, 'unsubscribed'],
  [{ optedOut: 'TRUE' }, 'unsubscribed'],
  [{ optedOut: 'no' }, undefined],
  [{ optedOut: '' }, undefined],
  [{ optedOut: '2025-03-04' }, 'unsubscribed'],
  [{ optedOut: 'perhaps' }, 'unknown_consent_state'],
  [{ optedOut: '\u2713' }, 'unsubscribed'],
  [{ optedOut: '\u2717' }, 'unknown_consent_state'],
  [{ optedOut: '?' }, 'unknown_consent_state'],
  [{ optedOut: '\u2013' }, undefined],
  [{ optedOut: 'Opted in' }, undefined],
  [{ optedOut: '1.0' }, 'unsubscribed'],
  [{ status: 'Subscribed', optedOut: '1' }, 'unsubscribed'],
  [{ optedOut: 'no\n1' }, 'unsubscribed'],
  [{ optedOut: 'no\n' }, undefined],
  [{ optedOut: 'no\nperhaps' }, 'unknown_consent_state'],
  [{ optedIn: 'yes' }, undefined],
  [{ optedIn: '2025-03-04' }, undefined],
  [{ optedIn: 'false' }, 'not_opted_in'],
  [{ optedIn: '' }, 'not_opted_in'],
  [{ optedIn: 'STOP' }, 'unsubscribed'],
  [{ optedIn: 'email only' }, 'unknown_consent_state'],
  [{ optedIn: '\u2713' }, undefined],
  [{ optedIn: '\u2717' }, 'not_opted_in'],
  [{ optedIn: '-' }, 'not_opted_in'],
  [{ optedIn: '1900-01-01' }, 'not_opted_in'],
  [{ cleanedAt: '2025-03-04' }, `cleaned ${march}`],
]

test.each(stated)('reads %j as %s', (cells, expected) => {
  const found = readConsent({ ...blank, ...cells })
  const text = found && ('skip' in found ? found.skip : [found.state, found.at].filter(Boolean).join(' '))
  expect(text).toBe(expected)
})

const ctx = useApi()
const { makeList, upload, importFile } = useImports(ctx)

function findSubscribers(listId: number) {
  return ctx.db.many<Record<string, unknown>>(
    'test_states',
    `select phone, state, first_name, opted_out_at, cleaned_at from subscribers where list_id = $1 order by phone`,
    [listId],
  )
}

function findOpts(listId: number) {
  return ctx.db.many<Record<string, unknown>>(
    'test_stated_opts',
    'select phone, kind, method, source, consented_at, actor from opts where list_id = $1 order by phone, id',
    [listId],
  )
}

const snapshot = [
  'report_run_date,owner_account_id,company_name,list_id,list_name,subscriber_id,phone_number,carrier,tags,status,subscribed_at,unsubscribed_at,cleaned_at,opt_in_method,most_recent_opt_in,api_source',
  '2026-11-01,5,Cedar,12,News,901,2065550141,77,,Subscribed,2024-01-02T10:00:00-08:00,,,keyword,2024-02-02T10:00:00-08:00,',
  '2026-11-01,5,Cedar,12,News,902,2065550142,77,,Unsubscribed,2024-01-02T10:00:00-08:00,2025-03-04T10:00:00-08:00,,keyword,2024-01-02T10:00:00-08:00,',
  '2026-11-01,5,Cedar,12,News,903,2065550143,77,,Cleaned,2024-01-02T10:00:00-08:00,,2025-05-05T10:00:00-08:00,keyword,2024-01-02T10:00:00-08:00,',
].join('\n')

test("imports the opt-outs and cleaned numbers of the vendor's snapshot as such, with their dates", async () => {
  const listId = await makeList()
  const view = await importFile(listId, snapshot)
  expect(view).toMatchObject({ total_rows: 3, processed_rows: 3, added: 3, opted_out: 1, cleaned: 1, skipped: 0 })
  expect(view.ignored_columns).not.toContain('status')
  const optedOutAt = new Date('2025-03-04T18:00:00Z')
  const cleanedAt = new Date('2025-05-05T18:00:00Z')
  expect(await findSubscribers(listId)).toMatchObject([
    { state: 'subscribed', opted_out_at: null, cleaned_at: null },
    { state: 'unsubscribed', opted_out_at: optedOutAt, cleaned_at: null },
    { state: 'cleaned', opted_out_at: null, cleaned_at: cleanedAt },
  ])
  const common = { method: 'import', actor: `import:${view.id}` }
  expect(await findOpts(listId)).toMatchObject([
    { ...common, phone: 2065550141, kind: 'opt_in', source: 'keyword', consented_at: new Date('2024-02-02T18:00:00Z') },
    { ...common, phone: 2065550142, kind: 'opt_out', consented_at: optedOutAt },
    { ...common, phone: 2065550143, kind: 'cleaned', consented_at: cleanedAt },
  ])
  const { body } = await ctx.owner.get(`/lists/${listId}`)
  expect(body.list).toMatchObject({ counts: { subscribers: 1, unsubscribed: 1, cleaned: 1 } })
  expect(await listWrongCounts(ctx.db)).toEqual([])
  const again = await importFile(listId, snapshot)
  expect(again).toMatchObject({ added: 0, updated: 0, unchanged: 3, opted_out: 0, cleaned: 0 })
  expect(await findOpts(listId)).toHaveLength(3)
})

test('opts out and cleans numbers that are on the list, and never undoes an opt-out', async () => {
  const listId = await makeList()
  const states = ['subscribed', 'pending', 'cleaned', 'unsubscribed', 'subscribed', 'unsubscribed', 'cleaned'] as const
  for (const [index, state] of states.entries()) {
    await make.subscriber(ctx.db, { listId, phone: 2065550141 + index, state, firstName: 'Old' })
  }
  const file = ['Out', 'Out', 'Out', 'Out', 'Cleaned', 'Cleaned', 'Active'].map(
    (status, index) => `${2065550141 + index},${status},New`,
  )
  const view = await importFile(listId, ['phone,status,first_name', ...file].join('\n'))
  expect(view).toMatchObject({
    total_rows: 7,
    processed_rows: 7,
    added: 0,
    updated: 4,
    unchanged: 1,
    kept_opted_out: 1,
    skipped: 1,
    skip_reasons: { cleaned: 1 },
    opted_out: 3,
    cleaned: 1,
  })
  const after = await findSubscribers(listId)
  const expected = [
    'unsubscribed',
    'unsubscribed',
    'unsubscribed',
    'unsubscribed',
    'cleaned',
    'unsubscribed',
    'cleaned',
  ]
  expect(after.map(({ state }) => state)).toEqual(expected)
  expect(after.map(({ first_name }) => first_name)).toEqual(expected.map(() => 'Old'))
})

test('applies an opt-out of any row of a number, in the same slice or in an earlier one', async () => {
  const listId = await makeList()
  const file = 'phone,opt_out\n2065550141,yes\n2065550141,no\n2065550142,no\n2065550142,yes\n2065550143,no\n'
  expect(await importFile(listId, file)).toMatchObject({
    total_rows: 5,
    processed_rows: 5,
    added: 3,
    skip_reasons: { duplicate: 2 },
    opted_out: 2,
  })
  const states = (await findSubscribers(listId)).map(({ state }) => state)
  expect(states).toEqual(['unsubscribed', 'unsubscribed', 'subscribed'])
})

test('skips a number that did not opt in, and a state that is not understood, with the value', async () => {
  const listId = await makeList()
  const file = 'phone,sms_opt_in\n2065550141,Y\n2065550142,N\n2065550143,\n2065550144,maybe\n'
  const view = await importFile(listId, file)
  expect(view).toMatchObject({ added: 1, skipped: 3, skip_reasons: { not_opted_in: 2, unknown_consent_state: 1 } })
  expect(view.skips.map(({ line, value }) => [line, value])).toEqual([
    [3, 'N'],
    [4, ''],
    [5, 'maybe'],
  ])
})

test('a line of NDJSON without a key about consent is a blank cell', async () => {
  const file = ['{"phone":"2065550141"}', '{"phone":"2065550142","sms_opt_in":true}', '{"phone":"2065550143"}'].join(
    '\n',
  )
  const view = await importFile(await makeList(), file, { type: 'application/x-ndjson' })
  expect(view).toMatchObject({ added: 1, skip_reasons: { not_opted_in: 2 } })
})

test('reads the states of NDJSON', async () => {
  const listId = await makeList()
  const file = '{"phone":"2065550141","unsubscribed":true}\n{"phone":"2065550142","unsubscribed":false}\n'
  expect(await importFile(listId, file, { type: 'application/x-ndjson' })).toMatchObject({ added: 2, opted_out: 1 })
  expect((await findSubscribers(listId)).map(({ state }) => state)).toEqual(['unsubscribed', 'subscribed'])
})

test.each([
  'tcpa_ok',
  'Texting permission given',
  'opt_in_flag',
  'sms_marketing_level',
  'do_not_target',
  'unsub_reason',
])('does not ignore the column %s, which may be about consent, unless the request says so', async (name) => {
  const listId = await makeList()
  const file = `phone,${name},color\n2065550141,x,red\n`
  const { status, body } = await upload(listId, file, { query: '?unknown_columns=ignore' })
  expect(status).toBe(422)
  expect(body.error).toContain(JSON.stringify(name))
  const query = `?unknown_columns=ignore&columns[${encodeURIComponent(name)}]=ignore`
  expect(await importFile(listId, file, { query })).toMatchObject({ added: 1, ignored_columns: [name, 'color'] })
})

test('a column about e-mail is not about texts', async () => {
  const listId = await makeList()
  const file = 'phone,Email Opt-In\n2065550141,no\n'
  const view = await importFile(listId, file, { query: '?unknown_columns=ignore' })
  expect(view).toMatchObject({ added: 1, ignored_columns: ['Email Opt-In'] })
})
