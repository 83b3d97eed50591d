// Changes valid requests into malformed ones, determined by a seed.

const unusualValues: unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 31,
  2 ** 53,
  2 ** 63,
  -(2 ** 63),
  '',
  ' ',
  '\n',
  '\0',
  'a\0b',
  '\ud800',
  'x\udfff\ud800',
  '😀',
  '👩‍👩‍👧‍👦',
  'é̂́̂́',
  '\u202eabc',
  '\u2028',
  '\ufeff',
  '\uffff',
  'ﬀﷺ',
  'x'.repeat(20_000),
  '😀'.repeat(200),
  '[',
  '(?=x)',
  '(((((((((((',
  '(a+)+$',
  '\\',
  '%',
  "'; drop table lists; --",
  '$1',
  '__proto__',
  'constructor',
  'toString',
  'NaN',
  'Infinity',
  '1e5',
  '0x10',
  '-0',
  '99999999',
  '20260230',
  '00000000',
  '2026-02-30T00:00:00Z',
  '2026-01-01T00:00:00+99:99',
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00+14:00',
  '9999-12-31T23:59:60Z',
  '275760-09-13T00:00:00Z',
  '+275760-09-13T00:00:00.000Z',
  '-000001-01-01T00:00:00Z',
  '2065550143',
  '12065550143',
  '0000000000',
  '٢٠٦٥٥٥٠١٤٣',
  'http://[::',
  'http://x:99999/',
  'http://user:pw@x/',
  'https://xn--/',
  'http://\u0000/',
  'a,b,,c,',
  ',,,',
  [],
  {},
  [null],
  [[]],
  [{}],
  ['a', 1, null],
  { length: 3 },
  { toString: 1 },
  { $ref: '#' },
  Array(1_100).fill('2065550143'),
  ['\0'],
  ['\ud800'],
  { '\0': 1 },
  { '\ud800': 1 },
  { '': '' },
]

const unusualPathParts = [
  '0',
  '-1',
  '1.5',
  '1e3',
  '9'.repeat(30),
  '9223372036854775807',
  '9223372036854775808',
  '9007199254740993',
  'abc',
  '%00',
  '%ff',
  '%zz',
  '..',
  '%2e%2e',
  '%2f',
  '%20',
  '😀',
  '%F0%9F%98%80',
  '2065550143%0a',
  '+12065550143',
  '(206)555-0143',
  '0000000000',
  'null',
  '*',
  'x'.repeat(90),
  'x'.repeat(3_000),
  ';',
  "'",
  '__proto__',
  '%5cud800',
  '&',
  '%25',
]

const queryKeys = [
  'page',
  'per_page',
  'start_date',
  'end_date',
  'source',
  'unknown_columns',
  'page[]',
  'page[a][b]',
  '__proto__[x]',
  'x',
  '',
  'message[content]',
  'subscriber[phone_number]',
]

const unusualHeaders: Record<string, string>[] = [
  { 'content-type': '' },
  { 'content-type': 'json' },
  { 'content-type': 'application/x-www-form-urlencoded' },
  { 'content-type': 'multipart/form-data; boundary=x' },
  { 'content-type': 'text/csv; charset=utf-16' },
  { 'content-type': ';;;=' },
  { 'content-encoding': 'gzip' },
  { accept: 'a/b;q=x, ,,;;' },
  { accept: '*/*;q=2' },
  { 'idempotency-key': 'x'.repeat(300) },
  { 'idempotency-key': 'once' },
  { 'idempotency-key': 'é' },
  { cookie: '=;=;' },
  { host: 'x'.repeat(300) },
  { authorization: 'Basic =' },
  { authorization: `Basic ${Buffer.from('\0:\0').toString('base64')}` },
  { 'x-request-id': '\u00ff' },
  { 'transfer-encoding': 'identity' },
]

/** Bodies that must be rejected before schema validation. */
export const rawBodies: (string | Buffer)[] = [
  '{',
  '{"list":',
  '"',
  '"{"',
  '"\\"{}\\""',
  '""',
  'null',
  'nul',
  '[]',
  '[[]]',
  '{}',
  '{"a":1,"a":2}',
  '1e999',
  '{"list":{"name":1e999}}',
  '{"list":{"name":"a"},"list":{"name":"b"}}',
  '{"subscriber":{"phone_number":"2065550143"},"subscriber":null}',
  '{"__proto__":{"list":{"name":"x"}}}',
  '{"list":{"__proto__":{"name":"x"}}}',
  '{"constructor":{"prototype":{"x":1}}}',
  '\ufeff{"list":{"name":"x"}}',
  '{"list":{"name":"\\u0000"}}',
  '{"list":{"name":"\\ud800"}}',
  '{"list":{"name":"\\udc00\\ud800"}}',
  Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
  Buffer.from([0xc0, 0x80]),
  Buffer.from('{"a":"\xe9"}', 'latin1'),
  Buffer.alloc(64),
  '['.repeat(100_000),
  '{"a":'.repeat(100_000),
  `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
  'x'.repeat(1_200_000),
  'a=b',
  'a',
  '=',
  '&&&',
  'a[b][c][d][e][f]=1',
  `a${'[b]'.repeat(5_000)}=1`,
  'a[]=1&a[b]=2&a=3',
  'list[name]=%00',
  'list[name]=%ff',
  'list[name]=%zz',
  '__proto__[x]=1',
  'list[__proto__][name]=x',
  'list[constructor][prototype][x]=1',
  `list[name]=${'x'.repeat(50_000)}`,
  'subscriber[phone_number]=2065550143&subscriber[tags][]=a&subscriber[tags][]=b',
  `${'a=1&'.repeat(20_000)}b=2`,
  '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--',
]

export type Fuzz = ReturnType<typeof makeFuzz>

/** Makes a generator of malformed values; the seed determines all choices. */
export function makeFuzz(seed: number) {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (limit: number) => Math.floor(random() * limit)
  const chance = (probability: number) => random() < probability
  const pick = <T>(from: readonly T[]): T => from[int(from.length)] as T
  const value = () => pick(unusualValues)

  /** Returns a copy with one or more faults. */
  function mutate(given: unknown): unknown {
    if (typeof given !== 'object' || given === null) return chance(0.8) ? value() : given
    if (chance(0.05)) return value()
    const entries = Object.entries(given)
    const at = int(entries.length)
    const changed = entries.map(([key, part], index) => {
      if (index !== at && !chance(0.15)) return [key, part]
      return chance(0.1) ? [textOf(value()), part] : [key, mutate(part)]
    })
    if (chance(0.1)) changed.splice(at, 1)
    if (chance(0.2))
      changed.push([
        pick([
          'tags',
          'size',
          'name',
          'content',
          'send_at',
          'audience',
          'max_parts',
          'phone_numbers',
          'opt_in_requests',
          'first_name',
          'birthdate',
          'refcodes',
          'amount',
          '__proto__',
          'short_code',
          'pattern',
          'default_value',
          'webhook_callback_url',
        ]),
        value(),
      ])
    if (Array.isArray(given)) return changed.map(([, part]) => part)
    return Object.fromEntries(changed)
  }

  function query(): string {
    const pairs = Array.from({ length: 1 + int(3) }, () => `${pick(queryKeys)}=${queryValue()}`)
    return `?${pairs.join(pick(['&', '&&', '?', ';']))}`
  }

  function queryValue(): string {
    if (chance(0.5)) return pick(unusualPathParts)
    const given = value()
    return encodeURIComponent((typeof given === 'string' ? given : JSON.stringify(given)).toWellFormed()).slice(
      0,
      3_000,
    )
  }

  /** Returns the file with unusual bytes inserted at a random position. */
  function file(text: string): Buffer {
    const bytes = Buffer.from(text)
    const pieces = [
      '"',
      '\r',
      '\n',
      ',',
      '\0',
      '\ufeff',
      '""',
      'phone_number',
      '{"phone_number":"2065550144"}\n',
      '😀',
      '{',
      'x'.repeat(5_000),
      ',,,,\n',
    ]
    const at = int(bytes.length + 1)
    const insert = chance(0.2) ? Buffer.from([0xff, 0xc0]) : Buffer.from(pick(pieces))
    return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at)])
  }

  return {
    int,
    chance,
    pick,
    value,
    mutate,
    query,
    file,
    pathPart: () => pick(unusualPathParts),
    header: () => pick(unusualHeaders),
  }
}

function textOf(given: unknown): string {
  return typeof given === 'string' ? given : JSON.stringify(given)
}

/** Returns the body with one deeply nested value. */
export function deepBody(fuzz: Fuzz, body: object | string | null): string {
  const depth = 10 ** (1 + fuzz.int(4))
  const deep = fuzz.chance(0.5)
    ? `${'['.repeat(depth)}${']'.repeat(depth)}`
    : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  if (typeof body !== 'object' || body === null) return deep
  const [[key = 'a', inner] = []] = Object.entries(body)
  if (typeof inner !== 'object' || Array.isArray(inner)) return `{${JSON.stringify(key)}:${deep}}`
  const fields = Object.keys(inner)
  return `{${JSON.stringify(key)}:{${JSON.stringify(fuzz.pick(fields))}:${deep},"more":1}}`
}
