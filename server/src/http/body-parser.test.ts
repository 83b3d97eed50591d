import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cpuMs } from '../../test/cpu-time.ts'
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

  test.each([
    ['[', ']'],
    ['{"a":', '}'],
  ])('accepts %j 32 times, and rejects it 33 times', (open, close) => {
    const nested = (levels: number) => `${open.repeat(levels)}1${close.repeat(levels)}`
    expect(read(nested(32)).body).toBeDefined()
    const fault = 'Malformed request body: nested too deeply (maximum is 32 levels)'
    expect(toAppError(() => read(nested(33)))).toMatchObject({ status: 400, message: fault })
    expect(toAppError(() => read(JSON.stringify(nested(33))))).toMatchObject({ status: 400, message: fault })
    expect(toAppError(() => read(open.repeat(200_000)))).toMatchObject({ status: 400, message: fault })
  })

  test('counts no brackets in strings, and none that are closed', () => {
    const text = '[{"'.repeat(100)
    expect(read(JSON.stringify({ a: `${text}\\"`, [text]: '\\' })).body).toEqual({ a: `${text}\\"`, [text]: '\\' })
    expect(read(`[${'[],'.repeat(100)}[]]`).body).toHaveLength(101)
  })

  test('accepts a form with 5,000 fields, and rejects one with more', () => {
    const form = (count: number) => Array(count).fill('a[]=1').join('&')
    expect(read(form(5_000)).body).toEqual(Object.assign(Object.create(null), { a: Array(5_000).fill('1') }))
    const fault = { status: 400, message: 'Malformed request body: too many fields (maximum is 5000)' }
    expect(toAppError(() => read(form(5_002)))).toMatchObject(fault)
    expect(toAppError(() => read(`=${'&'.repeat(900_000)}`))).toMatchObject(fault)
    expect(toAppError(() => read(`--a\n${'\n--a'.repeat(200_000)}\n--a--`))).toMatchObject(fault)
  })

  test('takes a short time for escapes that are not UTF-8', () => {
    const text = `n=${'%E9a'.repeat(240_000)}`
    let body: unknown
    expect(cpuMs(() => (body = read(text).body))).toBeLessThan(400)
    expect(body).toMatchObject({ n: 'éa'.repeat(240_000) })
  })

  test('names the beginning of a long key that cannot be stored', () => {
    const { details, message } = toAppError(() => read(JSON.stringify({ ['k'.repeat(900_000)]: '\0' })))
    expect(details).toEqual({ [`${'k'.repeat(255)}…`]: ['contains a NUL character'] })
    expect(message.length).toBeLessThan(400)
  })

  test.each(['__proto__', 'constructor', 'toString'])('names the key %s', (key) => {
    const { details, message } = toAppError(() => read(`{"${key}":"\\u0000"}`))
    expect(Object.entries(details ?? {})).toEqual([[key, ['contains a NUL character']]])
    expect(message).toMatch(/^Validation failed: [\w ]+ contains a NUL character$/)
  })
})

describe('a multipart form', () => {
  const named = (disposition: string, value = '1') => `Content-Disposition: form-data; ${disposition}\r\n\r\n${value}`
  const part = (name: string, value: string) => named(`name="${name}"`, value)
  const withBoundary = (boundary: string, parts: string[]) =>
    `${parts.map((each) => `--${boundary}\r\n${each}\r\n`).join('')}--${boundary}--\r\n`
  const crlf = (...parts: string[]) => withBoundary('x=1', parts)

  test.each<[string, unknown]>([
    [crlf(part('a', '1'), part('b', 'two\r\nlines')), { a: '1', b: 'two\r\nlines' }],
    [crlf(part('subscriber[tags][]', 'a'), part('subscriber[tags][]', 'b')), { subscriber: { tags: ['a', 'b'] } }],
    [crlf(part('a', '1'), part('a', '2')), { a: '2' }],
    [crlf(`Content-Type: text/plain; charset=utf-8\r\n${part('a', '50% +é')}`), { a: '50% +é' }],
    [crlf(`Content-Transfer-Encoding: 8bit\r\n${part('a', '1')}`), { a: '1' }],
    [crlf('content-disposition: form-data; filename="x.csv"; name=file\r\n\r\n1,2'), { file: '1,2' }],
    [crlf(part('a', ''), part('b', 'in --x=1 the text')), { a: '', b: 'in --x=1 the text' }],
    [crlf(part('a', '\r\n')), { a: '\r\n' }],
    [crlf(part('a', '-- \r\n--x')), { a: '-- \r\n--x' }],
    [crlf(part('a', '1')).replaceAll('\r\n', '\n'), { a: '1' }],
    [`${crlf(part('a', '1'))}an epilogue`, { a: '1' }],
    [`\r\n${crlf(part('a', '1'))}`, { a: '1' }],
    [withBoundary('x--', [part('a', '1')]), { a: '1' }],
    [withBoundary('.*?(x)', [part('a', '1')]), { a: '1' }],
    [crlf(part('a', '1')).replaceAll(/--x=1(?=\r)/g, '--x=1 \t'), { a: '1' }],
    // names
    [crlf(named('name="a"; filename="x; name=b"')), { a: '1' }],
    [crlf(named('filename="x; name=b"; name="a"')), { a: '1' }],
    [crlf(named('filename="; name=\\"b\\""; name="a"')), { a: '1' }],
    [crlf(named('filename*=utf-8\'\'n%3B; NAME = "a b" ; x')), { 'a b': '1' }],
    [crlf(named('name="a\\"b"')), { 'a"b': '1' }],
    [crlf(named('\r\n name="a"')), { a: '1' }],
    [crlf('X-Note: name="b"\r\nContent-Disposition:form-data;name=a\r\n\r\n1'), { a: '1' }],
    ['--x--', {}],
    ['--x--\r\n', {}],
  ])('is parsed: %j', (text, form) => {
    expect(plain(read(text).body ?? {})).toEqual(form)
  })

  test.each([
    crlf(part('a', '1')).replace('--x=1--', ''),
    crlf(part('a', '1')).replace('--x=1--', '--x=1'),
    crlf('Content-Type: text/plain\r\n\r\n1'),
    crlf('name="a"'),
    crlf('Content-Disposition: form-data\r\n\r\n1'),
    crlf(named('filename="name=a"')),
    crlf(named("name*=utf-8''a")),
    crlf('\r\n1'),
    crlf(''),
    crlf('Content-Disposition: form-data; name="a"'),
    crlf(`Content-Transfer-Encoding: base64\r\n${part('a', 'MQ==')}`),
    crlf(`Content-Transfer-Encoding: quoted-printable\r\n${part('a', '=31')}`),
    '--\r\n',
    '--x',
    '----',
    `--${'x'.repeat(71)}\r\n${part('a', '1')}\r\n--${'x'.repeat(71)}--`,
  ])('is rejected: %j', (text) => {
    expect(toAppError(() => read(text))).toMatchObject({ status: 400, code: 'unreadable_request' })
  })

  test('is rejected with a value that is binary or contains a NUL character', () => {
    const [before = '', after = ''] = crlf(part('photo', '|')).split('|')
    const jpeg = Buffer.concat([Buffer.from(before), Buffer.from('ffd8ffe0', 'hex'), Buffer.from(after)])
    expect(toAppError(() => parseBody(jpeg))).toMatchObject({ status: 400 })
    expect(toAppError(() => read(crlf(part('a', '\0'))))).toMatchObject({ status: 422 })
  })

  // a pattern with quadratic time would need hours
  test.each([' ', '; ', ';', 'a="', 'a=', '\\', '"', '\r\n ', 'a\r\n', 'name=', '--', '\t='])(
    'is rejected in linear time with a megabyte of %j in its headers',
    (text) => {
      const filler = text.repeat(900_000 / text.length)
      for (const header of ['Content-Disposition:', 'Content-Transfer-Encoding:', '']) {
        const body = crlf(`${header}${filler}x\r\n\r\n1`)
        expect(toAppError(() => read(body))).toMatchObject({ status: 400 })
      }
      expect(toAppError(() => read(`--${filler}`))).toMatchObject({ status: 400 })
    },
  )

  test('is parsed or rejected without other errors, whatever it contains, and may have 5,000 parts', () => {
    const bytes = fc.constantFrom(
      '--x',
      '--x--',
      '\r\n',
      '\n',
      ' ',
      '"',
      '\\',
      ';',
      'name=',
      'Content-Disposition:',
      'a',
    )
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 60 }), (tokens) => {
        try {
          read(`--x\r\n${tokens.join('')}`)
        } catch (error) {
          expect(error).toBeInstanceOf(AppError)
        }
      }),
    )
    const many = Array.from({ length: 5_000 }, (_, n) => part('a[]', String(n)))
    expect((read(crlf(...many)).body as { a: string[] }).a).toHaveLength(5_000)
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
    ['a[][b]=1&a[][c]=2&a[][b]=3', { a: [{ b: '1', c: '2' }, { b: '3' }] }],
    ['a[][b][c]=1&a[][b][d]=2&a[][e][]=3&a[][e][]=4', { a: [{ b: { c: '1', d: '2' }, e: ['3', '4'] }] }],
    ['a[][b]=1&a[][b][c]=2&a[][]=3', { a: [{ b: '1' }, { b: { c: '2' } }, ['3']] }],
    ['a[0]=x&a[1]=y', { a: { 0: 'x', 1: 'y' } }],
  ])('parses %s', (text, form) => {
    expect(plain(parseForm(text))).toEqual(form)
  })

  test('has no limit of pairs: a value that is silently lost would be a person on no list', () => {
    const text = Array.from({ length: 5_000 }, (_, n) => `a[]=${n}`).join('&')
    expect((parseForm(text) as { a: string[] }).a.at(-1)).toBe('4999')
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
