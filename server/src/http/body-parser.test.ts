import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import { parseBody } from './body-parser.ts'
import { parseForm } from './form.ts'

const read = (text: string) => parseBody(Buffer.from(text))

function toAppError(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('it was taken')
}

/** A form has no prototype, which `toEqual` does not mind but a reader of a failure does. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value))

describe('a body', () => {
  test.each(['', ' \r\n\t', 'null', ' null ', '[]', '[ ]', '""', '"null"', '"[]"', '\ufeff'])(
    '%j counts as no body',
    (text) => {
      expect(read(text).body).toBeUndefined()
    },
  )

  test.each<[string, unknown]>([
    ['{"a":1}', { a: 1 }],
    [' {"a":1}\n', { a: 1 }],
    ['\ufeff{"a":1}', { a: 1 }],
    [JSON.stringify('{"a":{"b":"c"}}'), { a: { b: 'c' } }],
    ['[1]', [1]],
    ['{"a":1,"a":2}', { a: 2 }],
  ])('%j is JSON', (text, body) => {
    expect(read(text)).toEqual({ body, isForm: false })
  })

  test.each(['{', '{"a":}', '[1', '"{"', '"a', '{"a":1} x', 'nullx', 'true', '12', 'hello', '--x\r\nname="a"'])(
    '%j cannot be read',
    (text) => {
      expect(toAppError(() => read(text))).toMatchObject({ status: 400, code: 'unreadable_request' })
    },
  )

  test('that is not UTF-8 is rejected', () => {
    expect(toAppError(() => parseBody(Buffer.from([0x7b, 0xff, 0x7d])))).toMatchObject({ status: 400 })
  })

  test.each([
    ['{"list":{"name":"a\\u0000b"}}', { 'list.name': ['contains a NUL character'] }],
    ['{"a":["x","\\u0000"]}', { 'a.1': ['contains a NUL character'] }],
    ['a=b%00', { a: ['contains a NUL character'] }],
  ])('%j has a NUL', (text, details) => {
    expect(toAppError(() => read(text))).toMatchObject({ status: 422, details })
  })

  test('with an escaped backslash before u0000 contains no NUL', () => {
    expect(read('{"a":"\\\\u0000"}').body).toEqual({ a: '\\u0000' })
  })
})

describe('a form', () => {
  test.each<[string, unknown]>([
    ['a=1&b=2', { a: '1', b: '2' }],
    ['&a=1&&b', { a: '1', b: '' }],
    [
      'subscriber[phone_number]=206&subscriber[first_name]=A+B%21',
      { subscriber: { phone_number: '206', first_name: 'A B!' } },
    ],
    ['subscriber%5Btags%5D%5B%5D=a&subscriber%5Btags%5D%5B%5D=b', { subscriber: { tags: ['a', 'b'] } }],
    ['list[keyword_names][]=A&list[name]=x', { list: { keyword_names: ['A'], name: 'x' } }],
    ['a=1&a=2', { a: '2' }],
    ['a=1&a[b]=2', { a: { b: '2' } }],
    ['a[b]=2&a=1', { a: '1' }],
    ['a[]=1&a[b]=2', { a: { b: '2' } }],
    ['100%=%zz', { '100%': '%zz' }],
    ['[a]=1&b]=2&c[=3', { '[a]': '1', 'b]': '2', 'c[': '3' }],
    ['a[b][c][d][e][f]=1', { 'a[b][c][d][e][f]': '1' }],
    ['a=b=c', { a: 'b=c' }],
  ])('%s', (text, form) => {
    expect(plain(parseForm(text))).toEqual(form)
  })

  test('cannot change a prototype', () => {
    const form = parseForm('__proto__[x]=1&constructor[prototype][y]=2')
    expect(plain(form)).toEqual(JSON.parse('{"__proto__":{"x":"1"},"constructor":{"prototype":{"y":"2"}}}'))
    expect({}).not.toHaveProperty('x')
    expect({}).not.toHaveProperty('y')
  })

  test('of any text is parsed back to the fields it was built from', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseForm(text)))
    const key = fc.string({ minLength: 1, unit: 'grapheme' }).filter((name) => !/[[\]]/.test(name))
    fc.assert(
      fc.property(fc.dictionary(key, fc.string({ unit: 'grapheme' }), { maxKeys: 20 }), (fields) => {
        const text = Object.entries(fields).map(
          ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
        )
        expect(plain(parseForm(text.join('&')))).toEqual(plain(fields))
      }),
    )
  })
})
