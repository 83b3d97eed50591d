import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'

// Dates as spreadsheets leave them: counts of days, and what cannot be read.

const ctx = useApi()
const { makeList, importFile, findPeople } = useImports(ctx)

const findOptOuts = (listId: number) =>
  ctx.db.many<{ phone: number; opted_out_at: Date }>(
    'test_opt_out_dates',
    `select phone, opted_out_at from subscribers where list_id = $1 and state = 'unsubscribed' order by phone`,
    [listId],
  )

test('reads the day counts of Excel in columns of dates', async () => {
  const listId = await makeList()
  await ctx.owner.post(`/lists/${listId}/custom_fields`, {
    custom_field: { key: 'since', label: 'Member since', content_type: 'datetime', max_length: 30 },
  })
  const file = [
    'phone,birthday,Opt-Out Date,Member Since',
    '2065550141,29347,,45236',
    '="2065550142",33000.0,45236.5,',
    '2065550143,,0,soon',
  ].join('\n')
  const view = await importFile(listId, file)
  expect(view).toMatchObject({ added: 3, opted_out: 1, warnings: [{ line: 4, column: 'since', value: 'soon' }] })
  expect(await findPeople(listId)).toEqual(['2065550141 19800506', '2065550142 unsubscribed 19900507', '2065550143'])
  expect(await findOptOuts(listId)).toEqual([{ phone: 2065550142, opted_out_at: new Date('2023-11-06T12:00:00Z') }])
  const { body } = await ctx.owner.get(`/lists/${listId}/subscribers/2065550141`)
  expect(body.subscriber).toMatchObject({ since: '2023-11-05T16:00:00.000-08:00' })
})

test.each([
  ['years', '1980'],
  ['dates without separators', '101280'],
  ['days to come', '60000'],
])('does not read day counts in a column that has %s, too', async (_name, other) => {
  const file = `phone,dob\n2065550141,29347\n2065550142,${other}\n2065550143,\n`
  expect(await importFile(await makeList(), file)).toMatchObject({
    added: 3,
    warnings: [
      { line: 2, column: 'birthdate', reason: 'bad_birthdate', value: '29347' },
      { line: 3, column: 'birthdate', value: other },
    ],
  })
})

test('a flag with a decimal point and a day count are flags', async () => {
  const file = 'phone,opted_out,DNC\n2065550141,0.0,\n2065550142,1.0,\n2065550143,,45236\n2065550144,nan,NaN\n'
  expect(await importFile(await makeList(), file)).toMatchObject({ added: 4, opted_out: 2, skipped: 0 })
})

test('an opt-out with a date that cannot be read is an opt-out with a warning', async () => {
  const listId = await makeList()
  const file = 'phone,unsubscribed_at\n2065550141,31/12/2025\n2065550142,yes\n2065550143,99999\n'
  expect(await importFile(listId, file)).toMatchObject({
    added: 3,
    opted_out: 3,
    warnings: [
      { line: 2, column: 'unsubscribed_at', reason: 'bad_unsubscribed_at', value: '31/12/2025' },
      { line: 4, column: 'unsubscribed_at', reason: 'bad_unsubscribed_at', value: '99999' },
    ],
  })
})

test('a list that rejects unreadable values does not lose an opt-out to one', async () => {
  const listId = await makeList()
  await ctx.owner.put(`/lists/${listId}`, { list: { reject_unreadable_values: true } })
  const file = 'phone,status,gender\n2065550141,Unsubscribed,U\n2065550142,Subscribed,U\n'
  expect(await importFile(listId, file)).toMatchObject({
    added: 1,
    opted_out: 1,
    warning_count: 1,
    skips: [{ line: 3, reason: 'bad_gender' }],
  })
})

test.each([
  ['CSV', 'phone\n2.06555014E+09\n1.2065550142E10\n12065550143.0\n="2065550144"\n\'2065550145\n2.0655e9\n', 'text/csv'],
  [
    'NDJSON',
    ['2.06555014e9', '1.2065550142e10', '12065550143.0', '"=\\"2065550144\\""', '"\'2065550145"', '2.0655E+9']
      .map((value) => `{"phone":${value}}`)
      .join('\n'),
    'application/x-ndjson',
  ],
])('reads a phone number of a spreadsheet only if it has all digits: %s', async (_name, file, type) => {
  const listId = await makeList()
  const view = await importFile(listId, file, { type })
  expect(view).toMatchObject({ added: 4, skip_reasons: { bad_phone: 2 } })
  expect(view.skips.map(({ value }) => value.toLowerCase().replace('+0', '').replace('+', ''))).toEqual([
    '2.06555014e9',
    '2.0655e9',
  ])
  expect(await findPeople(listId)).toEqual(['2065550142', '2065550143', '2065550144', '2065550145'])
})
