import { describe, expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { makeTextCheck } from '../../test/statement-texts.ts'
import { assignmentsOf, columnsOf, join, param, raw, sql, valuesOf } from './sql.ts'

const database = useDatabase()

describe('a statement', () => {
  test('has its values as numbered parameters in the order of the text', () => {
    const statement = sql`select ${1}, ${'two'}, ${null}`
    expect(statement.toStatement()).toEqual({ text: 'select $1, $2, $3', values: [1, 'two', null] })
  })

  test('has the parameters of nested fragments', () => {
    const inner = sql`phone = ${5} and list_id = ${7}`
    const statement = sql`select ${1} where ${inner} and ${sql`not (${inner} or ${8})`}`
    expect(statement.toStatement()).toEqual({
      text: 'select $1 where phone = $2 and list_id = $3 and not (phone = $2 and list_id = $3 or $4)',
      values: [1, 5, 7, 8],
    })
  })

  test('has a repeated param once', () => {
    const now = param('2026-11-28')
    expect(sql`${now}, ${3}, ${now}`.toStatement()).toEqual({ text: '$1, $2, $1', values: ['2026-11-28', 3] })
  })

  test('has equal values of different fragments as different parameters, so that values never change the text', () => {
    const text = (a: unknown, b: unknown) => sql`${param(a)} = ${param(b)} or ${a} = ${b}`.toStatement().text
    expect(text(1, 1)).toBe(text(1, 2))
    expect(text(1, 1)).toBe('$1 = $2 or $3 = $4')
  })

  test('may share a fragment with other statements', () => {
    const belongs = sql`list_id = ${4}`
    expect(sql`a ${1} ${belongs}`.toStatement().text).toBe('a $1 list_id = $2')
    expect(sql`b ${belongs}`.toStatement().text).toBe('b list_id = $1')
  })

  test('may contain raw text and lists', () => {
    expect(sql`select from ${raw('message_log_20261128')}`.toStatement().text).toBe('select from message_log_20261128')
    expect(join([sql`${1}`, sql`${2}`, raw('x')]).toStatement()).toEqual({ text: '$1, $2, x', values: [1, 2] })
    expect(join([raw('a'), raw('b')], ' and ').toStatement().text).toBe('a and b')
    expect(sql`in (${join([])})`.toStatement().text).toBe('in ()')
  })

  test('may write a row object', () => {
    const now = param('now')
    const row = { name: 'a', window: 3, created_at: now, updated_at: now }
    expect(sql`insert into t (${columnsOf(row)}) values (${valuesOf(row)})`.toStatement()).toEqual({
      text: 'insert into t ("name", "window", "created_at", "updated_at") values ($1, $2, $3, $3)',
      values: ['a', 3, 'now'],
    })
    expect(sql`update t set ${assignmentsOf(row)} where id = ${7}`.toStatement().text).toBe(
      'update t set "name" = $1, "window" = $2, "created_at" = $3, "updated_at" = $3 where id = $4',
    )
  })

  test('has arrays, dates and undefined as values', () => {
    const date = new Date(0)
    expect(sql`${[1, 2]} ${date} ${undefined}`.toStatement().values).toEqual([[1, 2], date, undefined])
  })
})

describe('statements in the database', () => {
  test('are accepted as fragments by every method of Db', async () => {
    const { db } = database
    const n = param(20)
    expect(await db.one('sql_one', sql`select ${n}::int + ${n}::int as sum`)).toEqual({ sum: 40 })
    expect(await db.maybeOne('sql_maybe', sql`select 1 where ${false}`)).toBeUndefined()
    expect(await db.many('sql_many', sql`select * from unnest(${[3, 4]}::int[]) as n`)).toEqual([{ n: 3 }, { n: 4 }])
    expect(await db.exec('sql_exec', sql`select ${1}::int union all select ${2}::int`)).toBe(2)
    expect(await db.tx((tx) => tx.one('sql_nested', sql`select ${'x'}::text as x`))).toEqual({ x: 'x' })
  })

  test('must not have the name of another statement', () => {
    const check = makeTextCheck()
    check('find_list', 'select 1')
    check('find_list', 'select 1')
    expect(() => check('find_list', 'select 2')).toThrow('statement find_list has two texts')
  })
})
