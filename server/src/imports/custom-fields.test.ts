import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'

const ctx = useApi()
const { makeList, upload, importFile } = useImports(ctx)

async function makeListWithFields() {
  const list = await makeList()
  const fields = [
    { key: 'team', label: 'Team color', content_type: 'text', max_length: 5 },
    {
      key: 'size',
      label: 'Household',
      content_type: 'number',
      max_length: 3,
      pattern: '^[0-9]+$',
      should_validate_regex_via_api: true,
      default_value: '1',
    },
    // 'dob' is an alias of the column birthdate in lists without such a field
    { key: 'dob', label: 'Member since', content_type: 'datetime', max_length: 30 },
  ]
  for (const custom_field of fields) await ctx.owner.post(`/lists/${list}/custom_fields`, { custom_field })
  return list
}

async function findValues(list: number, phone: string) {
  const response = await ctx.owner.get(`/lists/${list}/subscribers/${phone}`)
  const { team, size, dob, birthdate, tags } = response.body.subscriber as Record<string, unknown>
  return { team, size, dob, birthdate, tags }
}

test('stores the values of columns named by key or label, and leaves out invalid ones', async () => {
  const list = await makeListWithFields()
  const first = await importFile(
    list,
    [
      'phone,Team Color,SIZE,dob,birthdate,tags',
      '2065550141,red,3,2024-02-29,19910417,"a,b"',
      '2065550142,,,,,',
      '2065550143,crimson,,,,',
      '2065550144,red,big,,,',
      '2065550145,red,-1,,,',
      '2065550146,red,,soon,,',
    ].join('\n'),
  )
  expect(first).toMatchObject({
    status: 'done',
    added: 6,
    skipped: 0,
    warnings: [
      { line: 4, column: 'team', reason: 'custom_field_too_long: team', value: 'crimson' },
      { line: 5, column: 'size', reason: 'bad_custom_field: size', value: 'big' },
      { line: 6, column: 'size', reason: 'custom_field_pattern_mismatch: size', value: '-1' },
      { line: 7, column: 'dob', reason: 'bad_custom_field: dob', value: 'soon' },
    ],
  })
  expect(await findValues(list, '2065550141')).toEqual({
    team: 'red',
    size: 3,
    dob: '2024-02-28T16:00:00.000-08:00',
    birthdate: '19910417',
    tags: ['a', 'b'],
  })
  expect(await findValues(list, '2065550142')).toMatchObject({ team: null, size: 1, dob: null })
  const second = await importFile(
    list,
    'phone,team,size,tags\n2065550141,,4,"b,c"\n2065550142,blue,,\n2065550141,,4,"b,c"\n',
  )
  expect(second).toMatchObject({ updated: 2, unchanged: 0, skip_reasons: { duplicate: 1 } })
  expect(await findValues(list, '2065550141')).toMatchObject({ team: 'red', size: 4, tags: ['a', 'b', 'c'] })
  expect(await findValues(list, '2065550142')).toMatchObject({ team: 'blue', size: 1 })
  const third = await importFile(list, 'phone,team,size\n2065550141,red,4\n2065550142,,\n')
  expect(third).toMatchObject({ updated: 0, unchanged: 2 })
})

test('stores JSON values of the types of the custom fields', async () => {
  const list = await makeListWithFields()
  const lines = [
    { phone: '2065550141', team: 'a"\\\tb', size: 12 },
    { phone: '2065550142', team: true, dob: null },
  ]
  const file = lines.map((line) => JSON.stringify(line)).join('\n')
  expect(await importFile(list, file, { type: 'application/x-ndjson' })).toMatchObject({ added: 2 })
  expect(await findValues(list, '2065550141')).toMatchObject({ team: 'a"\\\tb', size: 12 })
  expect(await findValues(list, '2065550142')).toMatchObject({ team: 'true', dob: null })
})

test('rejects the custom field of another list as an unknown column', async () => {
  await makeListWithFields()
  const response = await upload(await makeList(), 'phone,team\n2065550141,red\n')
  expect(response).toMatchObject({ status: 422, body: { error: expect.stringContaining('unknown columns "team"') } })
})

test('rejects two columns for one custom field', async () => {
  const response = await upload(await makeListWithFields(), 'phone,team,team color\n2065550141,red,blue\n')
  expect(response).toMatchObject({
    status: 422,
    body: { error: expect.stringContaining('two columns for team: "team", "team color"') },
  })
})
