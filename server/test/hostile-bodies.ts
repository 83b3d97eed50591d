import { gzipSync } from 'node:zlib'
import type { Method } from './api.ts'

// Requests that cost the sender little, and would cost the api much if its work were not bounded.

export type HostileRequest = {
  name: string
  method: Method
  /** Below the list, or below /api/v2 if it begins with a slash. */
  path: string
  body: string | Buffer
  type?: string
  headers?: Record<string, string>
}

/** The keys of the custom fields with a pattern that the list of these requests has. */
export const patternKeys = Array.from({ length: 18 }, (_, n) => `pattern_${n}`)
/** The keys of custom fields for numbers. */
export const numberKeys = Array.from({ length: 100 }, (_, n) => `number_${n}`)
/** A pattern of 404 instructions; each of them may be active at each character. */
export const slowPattern = '(?:a?){200}[cd]$'
export const slowPatternLength = 240

const megabyte = (text: string) => text.repeat(Math.floor(999_000 / text.length))
const keys = (count: number, value: unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, value]))
const json = (value: unknown) => JSON.stringify(value)
const phone = '2065550143'
const rows = (count: number, row: (n: number) => string) => Array.from({ length: count }, (_, n) => row(n)).join('\n')
const values = (names: string[], value: string) => Object.fromEntries(names.map((name) => [name, value]))
const form = 'application/x-www-form-urlencoded'
const ndjson = 'application/x-ndjson'
const subscriber = (fields: object) => json({ subscriber: { phone_number: phone, ...fields } })

const field = (given: object) =>
  json({ custom_field: { key: 'x', label: 'x', content_type: 'text', should_validate_regex_via_api: true, ...given } })

export const hostileRequests: HostileRequest[] = [
  // JSON and forms
  { name: 'a million open brackets', method: 'POST', path: '/lists', body: megabyte('[') },
  { name: '100,000 levels of objects', method: 'PUT', path: '', body: megabyte('{"a":') },
  { name: 'levels in a JSON string', method: 'POST', path: 'messages', body: json('[1,'.repeat(200_000)) },
  {
    name: '80,000 keys',
    method: 'POST',
    path: '/lists?name=x',
    body: json({ list: keys(80_000, 1), ...keys(100, {}) }),
  },
  {
    name: '200,000 keys of strict objects',
    method: 'POST',
    path: 'flight_plans',
    body: json({ message: keys(80_000, 1) }),
  },
  {
    name: 'numbers as keys',
    method: 'PUT',
    path: '',
    body: `{"list":{${rows(90_000, (n) => `"${n}":1`).replaceAll('\n', ',')}}}`,
  },
  {
    name: 'keys of prototypes',
    method: 'POST',
    path: '/lists',
    body: `{"__proto__":{"list":1},"constructor":"\\u0000"}`,
  },
  {
    name: 'NUL characters',
    method: 'POST',
    path: 'messages',
    body: json({ message: { content: megabyte('\0').slice(0, 160_000) } }),
  },
  { name: 'a key of a megabyte', method: 'POST', path: 'messages', body: `{"${megabyte('k')}":"\\ud800"}` },
  {
    name: 'half a million invalid items',
    method: 'POST',
    path: '/lists',
    body: json({ list: { name: 'a', keyword_names: Array(450_000).fill(1) } }),
  },
  {
    name: 'invalid items within items',
    method: 'PUT',
    path: '/quiet_hours',
    body: json({ quiet_hours: { hours: [{ state: 'WA', weekdays: Array(300_000).fill('') }] } }),
  },
  {
    name: 'a number of a megabyte',
    method: 'POST',
    path: `subscribers/${phone}/donations`,
    body: `{"donation":{"amount":${megabyte('1')}}}`,
  },
  { name: 'many fields of a form', method: 'POST', path: 'subscribers', body: `a=1${megabyte('&a')}`, type: form },
  { name: 'nested names of a form', method: 'POST', path: 'subscribers', body: `a${megabyte('[b]')}=1`, type: form },
  {
    name: 'escapes that are not UTF-8',
    method: 'POST',
    path: 'subscribers',
    body: `a=${megabyte('%E9a')}`,
    type: form,
  },
  { name: '200,000 parts', method: 'POST', path: 'subscribers', body: `--a\n${megabyte('\n--a')}\n--a--` },
  {
    name: 'blanks behind a boundary',
    method: 'POST',
    path: 'subscribers',
    body: `--${'a'.repeat(60)}${megabyte(' ')}x`,
  },
  {
    name: 'a repetition with a key',
    method: 'POST',
    path: 'messages',
    body: json({ message: { content: megabyte('{a|') } }),
    headers: { 'idempotency-key': 'k' },
  },
  {
    name: 'a body of a GET',
    method: 'GET',
    path: 'messages',
    body: json({ page: '9'.repeat(400_000), ...keys(40_000, [{}]) }),
  },
  { name: 'a long query', method: 'GET', path: `messages?${'a[b][c][d]&'.repeat(1_400)}`, body: '' },
  // values
  {
    name: 'a million commas as tags',
    method: 'PUT',
    path: `subscribers/${phone}`,
    body: subscriber({ tags: megabyte('a,') }),
  },
  {
    name: 'a million commas as numbers',
    method: 'POST',
    path: 'bulk_taggings',
    body: json({ bulk_tagging: { phone_numbers: megabyte(','), tags: ['a'] } }),
  },
  {
    name: '70,000 numbers',
    method: 'POST',
    path: 'messages',
    body: json({ message: { content: 'x', phone_numbers: Array(70_000).fill(phone) } }),
  },
  {
    name: 'dates and codes of a megabyte',
    method: 'PUT',
    path: `subscribers/${phone}`,
    body: subscriber({ zip_code: ' 9'.repeat(200_000), gender: 'm'.repeat(300_000), birthdate: '1'.repeat(200_000) }),
  },
  {
    name: 'braces in content',
    method: 'POST',
    path: 'messages',
    body: json({ message: { max_parts: 10, content: '{{a '.repeat(1_249) } }),
  },
  {
    name: 'long fallbacks in content',
    method: 'POST',
    path: 'flight_plans',
    body: json({ message: { max_parts: 10, content: `${'{a|'.repeat(1_000)}${'x'.repeat(1_900)}` } }),
  },
  {
    name: 'conditions with long values',
    method: 'POST',
    path: 'flight_plans',
    body: json({
      message: {
        content: 'x',
        audience: { custom_fields: Array(90).fill({ key: 'x', op: 'eq', value: 'x'.repeat(9_999) }) },
      },
    }),
  },
  {
    name: 'digits that are no number',
    method: 'PUT',
    path: `subscribers/${phone}`,
    body: subscriber(values(numberKeys, `${'1'.repeat(9_600)}x`)),
  },
  // patterns
  {
    name: 'slow patterns',
    method: 'PUT',
    path: `subscribers/${phone}`,
    body: subscriber(values(patternKeys, 'a'.repeat(slowPatternLength))),
  },
  {
    name: 'a pattern of a million parts',
    method: 'POST',
    path: 'custom_fields',
    body: field({ max_length: 9_999, pattern: '((a{1000}){1000})' }),
  },
  {
    name: 'a pattern of 200,000 parts',
    method: 'POST',
    path: 'custom_fields',
    body: field({ max_length: 9_999, pattern: `(?:${'x'.repeat(240)}){1000}` }),
  },
  {
    name: 'a pattern of large classes',
    method: 'POST',
    path: 'custom_fields',
    body: field({ max_length: 9_999, pattern: `(?i)${'\\p{L}'.repeat(50)}` }),
  },
  {
    name: 'a slow pattern with a default',
    method: 'POST',
    path: 'custom_fields',
    body: field({ max_length: 9_999, pattern: slowPattern, default_value: 'a'.repeat(9_999) }),
  },
  // files
  {
    name: 'a header of 12,000 names',
    method: 'POST',
    path: 'imports?unknown_columns=ignore',
    body: `phone,${rows(12_000, (n) => `${n.toString(36)}_`).replaceAll('\n', ',')}\n${phone}\n`,
    type: 'text/csv',
  },
  {
    name: 'a header of 15,000 equal names',
    method: 'POST',
    path: 'imports?unknown_columns=ignore',
    body: `phone${',zip'.repeat(15_000)}\n${phone}\n`,
    type: 'text/csv',
  },
  {
    name: '19 titles of long names',
    method: 'POST',
    path: 'imports',
    body: `${rows(19, (n) => 'subscribed '.repeat(5_000) + n)}\nphone,zip\n${phone},1`,
    type: 'text/csv',
  },
  {
    name: 'meanings of many columns',
    method: 'POST',
    path: `imports?columns=${encodeURIComponent(
      json(
        values(
          Array.from({ length: 500 }, (_, n) => `c${n}`),
          'zip',
        ),
      ).slice(0, 9_000),
    )}`,
    body: `phone\n${phone}\n`,
    type: 'text/csv',
  },
  {
    name: 'a new key in each line',
    method: 'POST',
    path: 'imports?unknown_columns=ignore',
    body: rows(100_000, (n) => `{"phone":"${phone}","a${n}":1}`),
    type: ndjson,
  },
  {
    name: 'levels in lines',
    method: 'POST',
    path: 'imports?unknown_columns=ignore',
    body: `{"phone":"${phone}"}\n${rows(50, () => `{"email":${'['.repeat(30_000)}${']'.repeat(30_000)}}`)}`,
    type: ndjson,
  },
  {
    name: 'line ends in quotes',
    method: 'POST',
    path: 'imports',
    body: `phone,zip,email\n${rows(20, () => Array(16_000).fill('"\n"').join(','))}`,
    type: 'text/csv',
  },
  {
    name: 'second headers',
    method: 'POST',
    path: 'imports',
    body: `phone,zip,first,last\n${rows(40_000, (n) => `p${n},a${n},b${n},c${n}`)}`,
    type: 'text/csv',
  },
  {
    name: 'slow patterns in rows',
    method: 'POST',
    path: 'imports',
    body: `phone,${patternKeys.join(',')}\n${rows(100, (n) => `206555${1_000 + n}${`,${'a'.repeat(slowPatternLength)}`.repeat(18)}`)}`,
    type: 'text/csv',
  },
  {
    name: 'short lines that are not UTF-8',
    method: 'POST',
    path: 'imports',
    body: Buffer.from(`phone,zip\n${phone},\n${'é\n'.repeat(400_000)}`, 'latin1'),
    type: 'text/csv',
  },
  {
    name: 'long cells about consent',
    method: 'POST',
    path: 'imports',
    body: `phone,status,opted_in,opted_out,unsubscribed_at\n${rows(20, () => `${phone}${`,${'1.0.'.repeat(4_000)}`.repeat(4)}`)}`,
    type: 'text/csv',
  },
  {
    name: 'a file that unpacks to 30 MB',
    method: 'POST',
    path: 'imports',
    body: gzipSync(`phone,zip\n${`${phone},98101\n`.repeat(100_000)}`),
    type: 'text/csv',
  },
]
