import { expect, test } from 'vitest'
import { columns, storedColumns } from './column-names.ts'
import { DateCounts } from './date-counts.ts'
import { checkRow } from './rows.ts'

const dateCounts = new DateCounts(new Date('2026-11-02T10:00:00Z'))

function check(column: string, text: string) {
  const cells = columns
    .slice(0, storedColumns)
    .map((name) => (name === 'phone_number' ? '2062000101' : name === column ? text : ''))
  const row = checkRow(cells, { fields: [], dateCounts })
  if ('skip' in row) return row.skip
  return row.unreadable[0]?.reason ?? row.values[columns.indexOf(column as 'email') - 1]
}

test.each([
  ['first_name', '  Ana  ', 'Ana'],
  ['first_name', '   ', null],
  ['first_name', '🙏'.repeat(50), '🙏'.repeat(50)],
  ['first_name', '🙏'.repeat(51), 'first_name_too_long'],
  ['zip_code', '98101-1234', '98101'],
  ['zip_code', 'K1A 0B1', 'K1A0B1'],
  ['zip_code', 'k1a-0b1', 'k1a0b1'],
  ['zip_code', '98101.0', '98101'],
  ['zip_code', '981011234', '98101'],
  ['zip_code', '98101-', '98101'],
  ['zip_code', '02134', '02134'],
  ['zip_code', "'02134", '02134'],
  ['zip_code', '98101-12', 'bad_zip_code'],
  ['zip_code', '981.01', 'bad_zip_code'],
  ['zip_code', '98,101', 'bad_zip_code'],
  ['birthdate', '19800229', '19800229'],
  ['birthdate', '1980-02-29', '19800229'],
  ['birthdate', '2/29/1980', '19800229'],
  ['birthdate', '1980/2/29', '19800229'],
  ['birthdate', '02-29-1980', '19800229'],
  ['birthdate', '2/29/1980 0:00', '19800229'],
  ['birthdate', '1980-02-29T00:00:00.000Z', '19800229'],
  ['birthdate', 'February 29, 1980', '19800229'],
  ['birthdate', 'Feb 29th, 1980', '19800229'],
  ['birthdate', '29 Feb 1980', '19800229'],
  ['birthdate', '29-Feb-1980', '19800229'],
  ['birthdate', '19800229.0', '19800229'],
  ['birthdate', '2/29/80', 'bad_birthdate'],
  ['birthdate', '0000-00-00', 'bad_birthdate'],
  ['birthdate', '1980/02-29', 'bad_birthdate'],
  ['birthdate', '29280', '19800229'],
  ['birthdate', '29280.0', '19800229'],
  ['birthdate', '29280.5', 'bad_birthdate'],
  ['birthdate', '46329', 'bad_birthdate'],
  ['birthdate', '1980', 'bad_birthdate'],
  ['birthdate', '101280', 'bad_birthdate'],
  ['birthdate', 'Smarch 3, 1980', 'bad_birthdate'],
  ['birthdate', '1981-02-29', 'bad_birthdate'],
  ['birthdate', '13/01/1980', 'bad_birthdate'],
  ['gender', 'FEMALE', 'Female'],
  ['gender', 'm', 'Male'],
  ['gender', 'woman', 'Female'],
  ['gender', 'n/a', 'bad_gender'],
  ['gender', 'constructor', 'bad_gender'],
  ['first_name', '#N/A', 'bad_first_name'],
  ['last_name', '########', 'bad_last_name'],
  ['first_name', '#1 fan', '#1 fan'],
  ['first_name', 'Jos\ufffd', 'bad_first_name'],
  ['first_name', 'A\0', 'bad_first_name'],
  ['first_name', '\ud83d', 'bad_first_name'],
  ['tags', ' a , b,,a ', 'a,b'],
  ['tags', ' , ', null],
  ['tags', Array.from({ length: 1_001 }, (_, n) => n).join(','), 'bad_tags'],
  ['consented_at', '2024-05-01', '2024-05-01T00:00:00.000Z'],
  ['consented_at', '20240501', '2024-05-01T00:00:00.000Z'],
  ['consented_at', '5/1/2024', '2024-05-01T00:00:00.000Z'],
  ['consented_at', '2024-05-01T10:00:00-07:00', '2024-05-01T17:00:00.000Z'],
  ['consented_at', '2024-05-01 10:00', '2024-05-01T10:00:00.000Z'],
  ['consented_at', '2024-05-01 10:00:30.5 +0200', '2024-05-01T08:00:30.500Z'],
  ['consented_at', '5/1/2024 3:07 PM', '2024-05-01T15:07:00.000Z'],
  ['consented_at', '5/1/2024, 12:07:09 am', '2024-05-01T00:07:09.000Z'],
  ['consented_at', 'May 1, 2024 10:00', '2024-05-01T10:00:00.000Z'],
  ['consented_at', '2024-05-01 10:00:00 UTC', '2024-05-01T10:00:00.000Z'],
  ['consented_at', '45236', '2023-11-06T00:00:00.000Z'],
  ['consented_at', '45236.4166666667', '2023-11-06T10:00:00.000Z'],
  ['consented_at', '1700000000', '2023-11-14T22:13:20.000Z'],
  ['consented_at', '1700000000000', '2023-11-14T22:13:20.000Z'],
  ['consented_at', '2065550141', 'bad_consented_at'],
  ['consented_at', '29280', 'bad_consented_at'],
  ['consented_at', '98101', 'bad_consented_at'],
  ['consented_at', '5/1/2024 13:07 PM', 'bad_consented_at'],
  ['consented_at', '5/1/2024 3:67 PM', 'bad_consented_at'],
  ['consented_at', '2024-02-30T10:00:00Z', 'bad_consented_at'],
  ['consented_at', '2024-05-01T25:00', 'bad_consented_at'],
])('checks %s %j and returns %j', (column, text, expected) => {
  expect(check(column, text)).toBe(expected)
})
