import { expect, test } from 'vitest'
import { listSql } from '../../test/sql-source.ts'

const numbered = listSql().filter(({ file, text }) => /\$\d/.test(text) && !/^(db\/schema|lib\/)/.test(file))

test('the source has statements', () => {
  expect(listSql().length).toBeGreaterThan(300)
})

test('no statement has more than nine numbered parameters', () => {
  const tooMany = numbered.filter(({ text }) => /\$\d\d/.test(text)).map(({ file, name }) => `${file} ${name}`)
  expect(tooMany).toEqual([])
})

test('no fragment has a numbered parameter, because its number depends on the statement', () => {
  const fragments = numbered.filter(
    ({ isStatement, text }) => !isStatement && !/^\s*(with|select|insert|update|delete)\b/.test(text),
  )
  expect(fragments.map(({ file, name }) => `${file} ${name}`)).toEqual([])
})
