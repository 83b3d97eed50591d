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
  throw new Error('expected an AppError')
}

/** Copies a form to plain objects: `toEqual` ignores that forms have no prototype, but the diff of a failed test shows it. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value))

describe('parseBody', () => {
  test.each(['', ' \r\n\t', 'null', ' null ', '[]', '[ ]', '""', '"null"', '"[]"', '\ufeff'])(
    'parses %j as no body',
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
  ])('parses %j as JSON', (text, body) => {
    expect(read(text)).toEqual({ body, isForm: false })
  })

  test.each(['{', '{"a":}', '[1', '"{"', '"a', '{"a":1} x', 'nullx', 'true', '12', 'hello', '--x\r\nname="a"'])(
    'rejects %j',
    (text) => {
      expect(toAppError(() => read(text))).toMatchObject({ status: 400, code: 'unreadable_request' })
    },
  )

  test('rejects bytes that are not UTF-8', () => {
    expect(toAppError(() => parseBody(Buffer.from([0x7b, 0xff, 0x7d])))).toMatchObject({ status: 400 })
  })

  test.each([
    ['{"list":{"name":"a\\u0000b"}}', { 'list.name': ['contains a NUL character'] }],
    ['{"a":["x","\\u0000"]}', { 'a.1': ['contains a NUL character'] }],
    ['a=%ED%A0%BD', { a: ['contains half of a surrogate pair'] }],
    ['a=b%00', { a: ['contains a NUL character'] }],
    ['{"a\\u0000":1}', { 'a\0': ['contains a NUL character'] }],
    [JSON.stringify('{"a":"\\u0000"}'), { a: ['contains a NUL character'] }],
    ['{"message":{"content":"Hi \\ud83d"}}', { 'message.content': ['contains half of a surrogate pair'] }],
    ['{"a":["x","\\uDE00\\uD83D"]}', { 'a.1': ['contains half of a surrogate pair'] }],
    ['{"a":{"\\udfff":1}}', { 'a.\ufffd': ['contains half of a surrogate pair'] }],
    [JSON.stringify('{"a":"\\udbff!"}'), { a: ['contains half of a surrogate pair'] }],
  ])('rejects what cannot be stored in %j', (text, details) => {
    expect(toAppError(() => read(text))).toMatchObject({ status: 422, details })
  })

  test('accepts an escaped backslash before u0000', () => {
    expect(read('{"a":"\\\\u0000"}').body).toEqual({ a: '\\u0000' })
    expect(read('{"a":"\\\\ud83d"}').body).toEqual({ a: '\\ud83d' })
  })

  test('accepts an escaped surrogate pair', () => {
    expect(read('{"a":"\\ud83d\\ude00"}').body).toEqual({ a: '😀' })
  })
})

describe('a multipart form', () => {
  const part = (name: string, value: string) => `Content-Disposition: form-data; name="${name}"\r\n\r\n${value}`
  const crlf = (...parts: string[]) => `--x=1\r\n${parts.join('\r\n--x=1\r\n')}\r\n--x=1--\r\n`

  test.each<[string, unknown]>([
    [crlf(part('a', '1'), part('b', 'two\r\nlines')), { a: '1', b: 'two\r\nlines' }],
    [crlf(part('subscriber[tags][]', 'a'), part('subscriber[tags][]', 'b')), { subscriber: { tags: ['a', 'b'] } }],
    [crlf(`Content-Type: text/plain; charset=utf-8\r\n${part('a', '50% +é')}`), { a: '50% +é' }],
    [crlf('content-disposition: form-data; filename="x.csv"; name=file\r\n\r\n1,2'), { file: '1,2' }],
    [crlf(part('a', ''), part('b', 'in --x=1 the text')), { a: '', b: 'in --x=1 the text' }],
    [crlf(part('a', '1')).replaceAll('\r\n', '\n'), { a: '1' }],
  ])('is parsed: %j', (text, form) => {
    expect(plain(read(text).body ?? {})).toEqual(form)
  })

  test.each([
    crlf(part('a', '1')).replace('--x=1--', ''),
    crlf('Content-Type: text/plain\r\n\r\n1'),
    crlf('name="a"'),
    '--\r\n',
  ])('is rejected: %j', (text) => {
    expect(toAppError(() => read(text))).toMatchObject({ status: 400, code: 'unreadable_request' })
  })
})

describe('parseForm', () => {
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
    ['a=50%+off+%C3%A9&b=Ren%E9&c=%93Hi%94', { a: '50% off é', b: 'René', c: '“Hi”' }],
    ['[a]=1&b]=2&c[=3', { '[a]': '1', 'b]': '2', 'c[': '3' }],
    ['a[b][c][d][e][f]=1', { 'a[b][c][d][e][f]': '1' }],
    ['a=b=c', { a: 'b=c' }],
  ])('parses %s', (text, form) => {
    expect(plain(parseForm(text))).toEqual(form)
  })

  test('does not change a prototype', () => {
    const form = parseForm('__proto__[x]=1&constructor[prototype][y]=2')
    expect(plain(form)).toEqual(JSON.parse('{"__proto__":{"x":"1"},"constructor":{"prototype":{"y":"2"}}}'))
    expect({}).not.toHaveProperty('x')
    expect({}).not.toHaveProperty('y')
  })

  test('accepts any string, and returns the fields that a form was built from', () => {
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
