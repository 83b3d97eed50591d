import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'

const ctx = useApi()
const { makeList, upload, importFile, findPeople } = useImports(ctx)

const titled: [name: string, file: string][] = [
  ['a title and an empty line', 'Contacts exported 11/02/2026\n\nphone,first_name\n2065550141,Ana\n'],
  ['a title in a row of blank cells', 'Contacts exported 11/02/2026,,\n,,\nphone,first_name,zip\n2065550141,Ana,\n'],
  ['a title with the delimiter in it', 'Contacts, exported 11/02/2026\nphone,first_name,zip\n2065550141,Ana,98101\n'],
  ['names and values', 'Report:,Members\nRun on,2026-11-02 10:00\nphone,first_name,zip\n2065550141,Ana,\n'],
  ['semicolons', 'Contacts, exported 11/02/2026\r\n\r\nAnrede;Phone;First Name\r\nx;2065550141;Ana\r\n'],
  ['a title and a single column', 'Our members\nphone\n2065550141\n'],
  ['a title that is a name of a column', 'Phone numbers\n\nphone;first_name\n2065550141;Ana\n'],
  ['a title after sep=', '"sep=;"\nOur members\nphone;first_name\n2065550141;Ana\n'],
]

test.each(titled)('reads a file with %s above the header', async (_name, file) => {
  const listId = await makeList()
  expect(await importFile(listId, file, { query: '?unknown_columns=ignore' })).toMatchObject({
    total_rows: 1,
    added: 1,
  })
  expect((await findPeople(listId)).map((person) => person.split(' ')[0])).toEqual(['2065550141'])
})

test('counts the lines of the titles', async () => {
  const view = await importFile(await makeList(), 'Our members\n\nphone,gender\n2065550141,U\n12,\n')
  expect([view.warnings[0]?.line, view.skips[0]?.line]).toEqual([4, 5])
})

const notHeaders: [name: string, file: string, line: number, expected: string][] = [
  ['people above the header', '2065550141,Ana\nphone,first_name\n2065550142,Bob\n', 1, 'not a header'],
  ['a person above a wider header', '2065550141,Ana\nphone,first_name,zip\n2065550142,Bob,\n', 1, 'not a header'],
  ['people below a title', 'Our members\n2065550141,Ana\n', 1, '"Our members"'],
  [
    'a header without a phone number',
    'Our members\nName,Company,City\nAnn,Cedar,Seattle\n',
    2,
    '"Name", "Company", "City"',
  ],
  ['a type of phone in a row', 'Contact,Type\nAnn,Mobile\n', 1, '"Contact", "Type"'],
  ['too many titles', `${'Our members\n'.repeat(25)}phone\n2065550141\n`, 1, '"Our members"'],
  ['nothing but a title', 'Our members\n', 1, '"Our members"'],
  ['a title about opt-outs', 'Unsubscribed contacts\n\nphone\n2065550141\n', 1, '"Unsubscribed contacts" may state'],
  ['a title about opt-outs in a cell', 'List:,SMS Opt-Outs 2026\nphone,a,b\n2065550141,,\n', 1, '"SMS Opt-Outs 2026"'],
]

test.each(notHeaders)('rejects a file with %s', async (_name, file, line, expected) => {
  const { status, body } = await upload(await makeList(), file, { query: '?unknown_columns=ignore' })
  expect([status, body.code]).toEqual([422, 'bad_import_file'])
  expect(body.error).toContain(`Line ${line}: `)
  expect(body.error).toContain(expected)
  expect(body.error).not.toContain('206555')
})

describe('columns without a name', () => {
  test.each([
    ['a blank name', ',phone,first_name\n0,2065550141,Ana\n1,2065550142,Bob\n'],
    ['the name of pandas', 'Unnamed: 0,phone,first_name\n0.0,2065550141,Ana\n1.0,2065550142,Bob\n'],
    ['a number sign', '#,phone,first_name\n1,2065550141,Ana\n2,2065550142,Bob\n'],
    ['blank last cells', 'phone,first_name,,\n2065550141,Ana,,\n2065550142,Bob\n'],
  ])('an index under %s is ignored', async (_name, file) => {
    const listId = await makeList()
    expect(await importFile(listId, file)).toMatchObject({ added: 2, skipped: 0, warning_count: 0 })
    expect(await findPeople(listId)).toEqual(['2065550141 Ana', '2065550142 Bob'])
  })

  test('a value is listed, and an opt-out is not lost', async () => {
    const view = await importFile(await makeList(), 'phone,,first_name\n2065550141,vip,Ana\n2065550142,STOP,Bob\n')
    expect(view).toMatchObject({
      added: 1,
      skips: [{ line: 3, reason: 'unknown_consent_state', value: 'STOP' }],
      warnings: [{ line: 2, column: 'column 2', reason: 'unnamed_column', value: 'vip' }],
    })
  })

  test('values after the last name skip their row, because cells may have been shifted', async () => {
    const view = await importFile(
      await makeList(),
      'phone,opted_out,Note,\n2065550141,no,moved, away\n2065550142,no,,\n',
      {
        query: '?unknown_columns=ignore',
      },
    )
    expect(view).toMatchObject({ added: 1, skips: [{ line: 2, reason: 'too_many_cells', value: 'away' }] })
  })
})
