import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'

// Custom fields with the names of columns about consent: no opt-out is lost, and the fields are filled.

const ctx = useApi()
const { makeList, upload, importFile } = useImports(ctx)

async function makeListWithField(key: string, label = key, content_type = 'text') {
  const list = await makeList()
  const custom_field = { key, label, content_type, max_length: 40 }
  expect((await ctx.owner.post(`/lists/${list}/custom_fields`, { custom_field })).status).toBe(201)
  return list
}

async function findValues(list: number, key: string) {
  const rows = await ctx.db.many<{ phone: number; state: string; value: string | null }>(
    'test_field_values',
    'select phone, state, custom_fields ->> $2 as value from subscribers where list_id = $1 order by phone',
    [list, key],
  )
  return rows.map(({ phone, state, value }) => `${phone} ${state} ${value}`)
}

test.each(['status', 'member_status'])('a custom field %s is filled, and its opt-outs count', async (key) => {
  const list = await makeListWithField(key)
  const file = [
    `phone,${key}`,
    '2065550141,Gold',
    '2065550142,Unsubscribed',
    '2065550143,Subscribed',
    '2065550144,Cleaned',
    '2065550145,pending',
    '2065550146,',
  ].join('\n')
  expect(await importFile(list, file)).toMatchObject({
    total_rows: 6,
    processed_rows: 6,
    added: 5,
    opted_out: 1,
    cleaned: 1,
    skips: [{ line: 6, reason: 'not_opted_in', value: 'pending' }],
  })
  expect(await findValues(list, key)).toEqual([
    '2065550141 subscribed Gold',
    '2065550142 unsubscribed Unsubscribed',
    '2065550143 subscribed Subscribed',
    '2065550144 cleaned Cleaned',
    '2065550146 subscribed null',
  ])
})

test.each([
  ['opted_out', 'yes', 'no'],
  ['do_not_text', '1', '0'],
  ['unsubscribed_at', '2025-03-04', ''],
  ['sms_opt_in', 'STOP', 'yes'],
  ['opt_in_note', 'unsubscribed', 'asked for texts'],
])('a custom field %s opts out the number with %j, and not the one with %j', async (key, out, subscribed) => {
  const list = await makeListWithField(key)
  const csv = await importFile(list, `phone,${key}\n2065550141,${out}\n2065550142,${subscribed}\n`)
  expect(csv).toMatchObject({ added: 2, opted_out: 1 })
  const lines = [out, subscribed].map((value, n) => JSON.stringify({ phone: `206555014${n + 3}`, [key]: value }))
  const ndjson = await importFile(list, lines.join('\n'), { type: 'application/x-ndjson' })
  expect(ndjson).toMatchObject({ added: 2, opted_out: 1 })
  const value = subscribed || null
  expect(await findValues(list, key)).toEqual([
    `2065550141 unsubscribed ${out}`,
    `2065550142 subscribed ${value}`,
    `2065550143 unsubscribed ${out}`,
    `2065550144 subscribed ${value}`,
  ])
})

test.each([
  ['sms_status', 'Gold'],
  ['unsubscribed', 'perhaps'],
  ['opt_in', 'by mail'],
])('a value of a custom field %s that is not understood skips its row: %s', async (key, value) => {
  const list = await makeListWithField(key)
  const view = await importFile(list, `phone,${key}\n2065550141,${value}\n`)
  expect(view.skips).toEqual([{ line: 2, reason: 'unknown_consent_state', value }])
})

test('a custom field whose label is the name of a column about consent is both, too', async () => {
  const list = await makeListWithField('sms_choice', 'Opted out')
  expect(await importFile(list, 'phone,Opted Out\n2065550141,yes\n')).toMatchObject({ added: 1, opted_out: 1 })
  expect(await findValues(list, 'sms_choice')).toEqual(['2065550141 unsubscribed yes'])
})

test('columns states that a column is nothing but the custom field', async () => {
  const list = await makeListWithField('status')
  const file = 'phone,Status\n2065550141,inactive\n'
  expect(await importFile(list, file)).toMatchObject({ skip_reasons: { not_opted_in: 1 } })
  expect(await importFile(list, file, { query: '?columns[Status]=custom_fields.status' })).toMatchObject({ added: 1 })
  expect(await findValues(list, 'status')).toEqual(['2065550141 subscribed inactive'])
  const { status, body } = await upload(list, file, { query: '?columns[Status]=custom_fields.stage' })
  expect([status, body.error]).toEqual([422, expect.stringContaining('"custom_fields.stage"')])
})

test('a column for the custom field does not hide another one about consent', async () => {
  const list = await makeListWithField('status')
  const file = 'phone,Level,Status\n2065550141,Gold,Unsubscribed\n'
  expect(await importFile(list, file, { query: '?columns[Level]=custom_fields.status' })).toMatchObject({
    opted_out: 1,
  })
  expect(await findValues(list, 'status')).toEqual(['2065550141 unsubscribed Gold'])
  const { status, body } = await upload(list, 'phone,status,SMS Status\n2065550141,Gold,Unsubscribed\n')
  expect([status, body.error]).toEqual([422, expect.stringContaining('two columns for status: "status", "SMS Status"')])
})

test('a chosen column for opted_out does not hide the others', async () => {
  const file = 'phone,Halted,Do Not Call\n2065550141,no,yes\n'
  const view = await importFile(await makeList(), file, { query: '?columns[Halted]=opted_out' })
  expect(view).toMatchObject({ added: 1, opted_out: 1 })
})

test('a date of an opt-out that its custom field cannot store either is one warning', async () => {
  const list = await makeList()
  const custom_field = { key: 'unsubscribed_at', label: 'Left', content_type: 'text', max_length: 10 }
  await ctx.owner.post(`/lists/${list}/custom_fields`, { custom_field })
  const file = 'phone,unsubscribed_at\n2065550141,sometime last year\n2065550142,2025-03-04\n'
  expect(await importFile(list, file)).toMatchObject({
    added: 2,
    opted_out: 2,
    warning_count: 1,
    warnings: [{ line: 2, column: 'unsubscribed_at', value: 'sometime last year' }],
  })
  expect(await findValues(list, 'unsubscribed_at')).toEqual([
    '2065550141 unsubscribed null',
    '2065550142 unsubscribed 2025-03-04',
  ])
})
