import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'
import { columns, looksLikeConsent } from './column-names.ts'
import { ColumnFinder } from './columns.ts'

function find(name: string) {
  const meaning = new ColumnFinder([]).find(name)
  return typeof meaning === 'string' ? meaning : columns[meaning.index]
}

test.each([
  [
    'phone_number',
    ['Phone Number', 'PHONE', 'phoneNumber', 'Phone #', 'Cell', 'cell phone', 'Mobile', 'mobile_no.', 'MSISDN'],
  ],
  ['phone_number', ['Telephone', 'Phone 1 - Value', 'SMS Number', ' Mobile\u00a0Phone ']],
  ['phone_number', ['Teléfono', 'Celular', 'Téléphone portable', 'Handynummer']],
  ['first_name', ['Nombre', 'First', 'FirstName', 'Given Name', 'given-name', 'FNAME']],
  ['last_name', ['Last Name', 'surname', 'Family Name', 'lname']],
  ['email', ['E-mail Address', 'EmailAddress', 'e-mail', 'E-mail 1 - Value']],
  ['zip_code', ['zip5', 'ZIP Code', 'Postal Code', 'Zip/Postal Code', 'Mailing Zip']],
  ['birthdate', ['DOB', 'Date of Birth', 'birthday', 'BirthDate']],
  ['gender', ['Sex', 'GENDER']],
  ['consented_at', ['Consent Date', 'most_recent_opt_in', 'Opt-In Date', 'subscribedAt']],
  [
    'status',
    ['Status', 'Subscription Status', 'SMS Consent', 'consent', 'SMS Consent Status', 'SMS subscriber status'],
  ],
  ['status', ['SMS Opt-Out Status', 'can2_sms_status']],
  ['opted_in', ['opt_in', 'SMS Opt-In', 'Accepts SMS Marketing', 'optedIn']],
  [
    'opted_out',
    ['Do Not Text', 'do_not_call', 'Opted Out', 'Unsubscribed', 'DNC', 'Phone Opt-Out', 'Do Not Contact?', 'DND'],
  ],
  ['unsubscribed_at', ['unsubscribed_at', 'Opt-Out Date', 'optedOutAt', 'Stop Date', 'Date Stopped']],
  ['ignored', ['list_id', 'report_run_date', 'companyName']],
  ['unnamed', ['', ' ', '#', 'Unnamed: 0', 'Unnamed: 12']],
  ['unknown', ['EMAIL_STATUS', 'Email Opt Out', 'Accepts Email Marketing', 'Lead Status', 'Attendee Status']],
  ['unknown', ['Favorite color', 'id', 'Home address', 'Work Phone Extension']],
])('finds %s by %j', (column, names) => {
  expect(names.map(find)).toEqual(names.map(() => column))
})

test.each([
  ...['Removed', 'removed_at', 'Hard Bounce', 'Bounced', 'Blocked On', 'DND Reason', 'Stopped'],
  ...[
    'Revoked',
    'revoked_at',
    'Withdrawn',
    'Withdrawal Date',
    'Wants Texts',
    'list_status',
    'Textable',
    'Can be texted',
  ],
])('%j may be about consent', (name) => {
  expect(looksLikeConsent(name)).toBe(true)
})

test.each(['Bus Stop', 'Store', 'Email Bounced', 'Activity', 'Blockchain', 'Context', 'Texture'])(
  '%j is not about consent',
  (name) => {
    expect(looksLikeConsent(name)).toBe(false)
  },
)

const ctx = useApi()
const { makeList, upload, importFile } = useImports(ctx)

async function findPhones(listId: number) {
  const rows = await ctx.db.many<{ phone: number; first_name: string }>(
    'test_phones',
    'select phone, first_name from subscribers where list_id = $1 order by phone',
    [listId],
  )
  return rows.map(({ phone, first_name }) => `${phone} ${first_name}`.trim())
}

const ndjson = { type: 'application/x-ndjson' }

describe('two columns for a phone number', () => {
  const file = 'Mobile,Work Cell Phone,Phone,First\n2065550141,2065550142,2065550143,Ana\n'

  test('are rejected by their names, also if one is blank', async () => {
    const listId = await makeList()
    const { status, body } = await upload(listId, 'mobile,Phone\n2065550141,\n')
    expect(status).toBe(422)
    expect(body.error).toContain('"mobile", "Phone"')
    expect(body.error).toContain('columns[mobile]=phone_number')
  })

  test.each([
    '?columns[Work%20Cell%20Phone]=phone_number',
    `?columns=${encodeURIComponent('{"work_cell_phone":"phone_number"}')}`,
  ])('are chosen by the request: %s', async (query) => {
    const listId = await makeList()
    expect(await importFile(listId, file, { query })).toMatchObject({ added: 1, ignored_columns: ['Mobile', 'Phone'] })
    expect(await findPhones(listId)).toEqual(['2065550142 Ana'])
  })

  test('are one if the other is the number for the bill', async () => {
    const listId = await makeList()
    const shop = 'Billing Phone,Phone,First\n2065550142,2065550141,Ana\n'
    expect(await importFile(listId, shop)).toMatchObject({ added: 1, ignored_columns: ['Billing Phone'] })
    expect(await findPhones(listId)).toEqual(['2065550141 Ana'])
  })

  test('of a line of NDJSON: the only one that is filled counts', async () => {
    const listId = await makeList()
    const lines = [
      { phone_number: '2065550141', mobile: '' },
      { phone_number: null, mobile: '2065550142' },
      { mobile: '2065550143', cell: '2065550143' },
    ]
    const lenient = lines.map((line) => JSON.stringify(line)).join('\n')
    expect(await importFile(listId, lenient, ndjson)).toMatchObject({ added: 3 })
    expect(await findPhones(listId)).toEqual(['2065550141', '2065550142', '2065550143'])
    const rejected = await upload(listId, `${lenient}\n{"mobile":"2065550144","phone":"2065550145"}`, ndjson)
    expect(rejected).toMatchObject({ status: 422, body: { details: { line: ['4'] } } })
    expect(rejected.body.error).toContain('"mobile", "phone"')
    const query = '?columns[mobile]=phone_number'
    const file = '{"mobile":"2065550144","phone":"2065550145"}'
    expect(await importFile(listId, file, { ...ndjson, query })).toMatchObject({ ignored_columns: ['phone'] })
    expect((await findPhones(listId)).at(-1)).toBe('2065550144')
  })
})

test('maps columns to columns, custom fields and nothing', async () => {
  const listId = await makeList()
  await ctx.owner.post(`/lists/${listId}/custom_fields`, {
    custom_field: { key: 'team', label: 'Team', content_type: 'text', max_length: 5 },
  })
  const query = '?columns[Handset]=phone_number&columns[Who]=first_name&columns[Squad]=team&columns[Note]=ignore'
  const view = await importFile(listId, 'Handset,Who,Squad,Note\n2065550141,Ana,red,x\n', { query })
  expect(view).toMatchObject({ added: 1, ignored_columns: ['Note'] })
  const { body } = await ctx.owner.get(`/lists/${listId}/subscribers/2065550141`)
  expect(body.subscriber).toMatchObject({ first_name: 'Ana', team: 'red' })
})

test('rejects a name in the mapping that the file lacks', async () => {
  const query = '?unknown_columns=ignore&columns[SMS%20OKAY]=opted_in'
  const { status, body } = await upload(await makeList(), 'phone,SMS OK?\n2065550141,no\n', { query })
  expect([status, body.error]).toEqual([422, expect.stringContaining('"SMS OKAY"')])
})

test.each(['?columns[a]=nonsense', '?columns=[1]', '?columns={', '?columns={"a":1}', '?columns[a][b]=email'])(
  'rejects the mapping %s',
  async (query) => {
    const { status, body } = await upload(await makeList(), 'phone\n2065550141\n', { query: encodeURI(query) })
    expect([status, body.code]).toEqual([422, 'invalid'])
  },
)
