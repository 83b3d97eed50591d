import pg from 'pg'
import { expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { loggableError, maskText } from './loggable-error.ts'

const phone = '2065550142'
const database = useDatabase()

async function faultOf(sql: string, values: unknown[] = []): Promise<unknown> {
  await database.db.exec('savepoint', 'savepoint before_fault')
  const fault = await database.db
    .exec(`fault_${sql.length}_${values.length}_${sql.slice(7, 12)}`, sql, values)
    .catch((error) => error)
  await database.db.exec('rollback_fault', 'rollback to before_fault')
  expect(fault).toBeInstanceOf(pg.DatabaseError)
  return fault
}

test.each([
  ['a unique violation', `insert into people values ($1), ($1)`, '23505'],
  ['a check violation', `insert into people values ($1::bigint + 1e10)`, '23514'],
  ['an invalid number', `select $1::text::bigint + ('x' || $1)::bigint`, '22P02'],
  ['an error of a function', `do $$ begin raise exception 'phone ${phone} is odd'; end $$`, 'P0001'],
  ['a syntax error', `select ${phone} from`, '42601'],
])('the log of %s contains no value', async (_what, sql, code) => {
  await database.db.exec(
    'make_people',
    'create temp table people (phone bigint unique check (phone < 1e10)) on commit drop',
  )
  const logged = loggableError(await faultOf(sql, sql.includes('$1') ? [phone] : []))
  expect(logged).toMatchObject({ type: 'error', severity: 'ERROR', code, stack: expect.stringContaining(' at ') })
  expect(JSON.stringify(logged)).not.toMatch(/206\D{0,3}555|12065550142/)
})

test.each([
  ['a parser', () => JSON.parse(`"${phone}`)],
  ['a parser of an object', () => JSON.parse(`{"content":"${'Dear Ana, your code is "77" '}`)],
  ['a parser of a value', () => JSON.parse('Dear Ana')],
  ['a URL', () => new URL(`Dear Ana ${phone}`)],
  ['a message of two lines', () => Promise.reject(new Error(`one\n${phone}\ntwo`))],
  [
    'a cause',
    () => Promise.reject(new Error('outer', { cause: Object.assign(new Error(phone), { body: 'Dear Ana' }) })),
  ],
  ['several errors', () => Promise.reject(new AggregateError([new Error(phone)], 'all failed'))],
  ['a property', () => Promise.reject(Object.assign(new Error('odd'), { detail: phone, parameters: ['Dear Ana'] }))],
  ['a string', () => Promise.reject(`+1 (206) 555-0142`)],
  ['an object', () => Promise.reject({ phone, content: 'Dear Ana' })],
])('the log of an error of %s contains no value', async (_what, fail) => {
  const fault = await (async () => fail())().catch((error) => error)
  expect(JSON.stringify(loggableError(fault))).not.toMatch(/206\D{0,3}555|Dear Ana/)
})

test('an error keeps what a person needs, within a limit', () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED 192.168.100.200:5432'), { code: 'ECONNREFUSED' })
  expect(loggableError(new TypeError('cannot expand message 12345', { cause }))).toMatchObject({
    type: 'TypeError',
    message: 'cannot expand message 12345',
    stack: expect.stringContaining('loggable-error.test.ts'),
    cause: { message: 'connect ECONNREFUSED 192.168.100.200:5432', code: 'ECONNREFUSED' },
  })
  const endless = new Error('x'.repeat(1e6))
  endless.cause = endless
  expect(JSON.stringify(loggableError(endless)).length).toBeLessThan(30_000)
})

test.each(['2065550142', '+12065550142', '206-555-0142', '(206) 555-0142', '1.206.555.0142', '206 555 0142'])(
  'maskText hides %s',
  (text) => expect(maskText(`to ${text}, please`)).toMatch(/^to \(?…, please$/),
)
