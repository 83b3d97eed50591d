import { expect, test } from 'vitest'
import { listSql } from '../../test/sql-source.ts'

// Statements of the log are rewritten with the log's transitions; each file leaves this list with its last number.
const pending = [
  'broadcasts/audience.sql.ts',
  'broadcasts/chunk-rows.sql.ts',
  'broadcasts/chunks.queries.ts',
  'broadcasts/close.queries.ts',
  'broadcasts/expansion.queries.ts',
  'broadcasts/marks.queries.ts',
  'broadcasts/overdue.queries.ts',
  'broadcasts/personal-slice.queries.ts',
  'log/',
  'messages/accept.queries.ts',
  'opt-ins/opt-out.queries.ts',
  'receipts/receipts.queries.ts',
  'receipts/waiting.queries.ts',
]
const isPending = (file: string) => pending.some((prefix) => file.startsWith(prefix))

const numbered = listSql().filter(
  ({ file, text }) => /\$\d/.test(text) && !isPending(file) && !/^(db\/schema|lib\/)/.test(file),
)

test('there are statements to look at', () => {
  expect(listSql().length).toBeGreaterThan(300)
})

test('no statement has more than nine numbered parameters', () => {
  const crowded = numbered.filter(({ text }) => /\$\d\d/.test(text)).map(({ file, name }) => `${file} ${name}`)
  expect(crowded).toEqual([])
})

test('no fragment has a numbered parameter, which only its statement can know', () => {
  const fragments = numbered.filter(
    ({ isStatement, text }) => !isStatement && !/^\s*(with|select|insert|update|delete)\b/.test(text),
  )
  expect(fragments.map(({ file, name }) => `${file} ${name}`)).toEqual([])
})
