import { expect, test } from 'vitest'
import { columns } from './columns.ts'
import { checkRow } from './rows.ts'

function check(column: string, text: string) {
  const cells = columns.map((name) => (name === 'phone_number' ? '2062000101' : name === column ? text : ''))
  const row = checkRow(cells, [])
  return 'skip' in row ? row.skip : row.values[columns.indexOf(column as 'email') - 1]
}

test.each([
  ['first_name', '  Ana  ', 'Ana'],
  ['first_name', '   ', null],
  ['first_name', '🙏'.repeat(50), '🙏'.repeat(50)],
  ['first_name', '🙏'.repeat(51), 'first_name_too_long'],
  ['zip_code', '98101-1234', '98101'],
  ['zip_code', 'K1A 0B1', 'K1A0B1'],
  ['zip_code', '98101-12', 'zip_code_too_long'],
  ['birthdate', '19800229', '19800229'],
  ['birthdate', '1980-02-29', '19800229'],
  ['birthdate', '2/29/1980', '19800229'],
  ['birthdate', '1981-02-29', 'bad_birthdate'],
  ['birthdate', '13/01/1980', 'bad_birthdate'],
  ['gender', 'FEMALE', 'Female'],
  ['gender', 'm', 'Male'],
  ['gender', 'n/a', 'bad_gender'],
  ['tags', ' a , b,,a ', 'a,b'],
  ['tags', ' , ', null],
  ['tags', Array.from({ length: 1_001 }, (_, n) => n).join(','), 'bad_tags'],
  ['consented_at', '2024-05-01', '2024-05-01T00:00:00.000Z'],
  ['consented_at', '20240501', '2024-05-01T00:00:00.000Z'],
  ['consented_at', '5/1/2024', '2024-05-01T00:00:00.000Z'],
  ['consented_at', '2024-05-01T10:00:00-07:00', '2024-05-01T17:00:00.000Z'],
  ['consented_at', '2024-05-01 10:00', '2024-05-01T10:00:00.000Z'],
  ['consented_at', '2024-05-01 10:00:30.5 +0200', '2024-05-01T08:00:30.500Z'],
  ['consented_at', '2024-02-30T10:00:00Z', 'bad_consented_at'],
  ['consented_at', '2024-05-01T25:00', 'bad_consented_at'],
])('checks %s %j and returns %j', (column, text, expected) => {
  expect(check(column, text)).toBe(expected)
})
