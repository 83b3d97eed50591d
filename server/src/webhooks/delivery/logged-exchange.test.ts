import { expect, test } from 'vitest'
import { logRequest, logResponse, shownUrl } from './logged-exchange.ts'

const request = {
  url: 'https://hooks.cedar.example/in?key=7f2a9c41',
  headers: {
    'webhook-id': 'evt_123456',
    'webhook-signature': 'v1,c2lnbmF0dXJl',
    authorization: 'Bearer swordfish',
    'X-No': '1',
  },
}

test.each([
  ['https://hooks.cedar.example/in?key=7f2a#part', 'https://hooks.cedar.example/in'],
  ['https://cedar:swordfish@hooks.cedar.example:8443/', 'https://hooks.cedar.example:8443/'],
  ['HTTPS://Hooks.Cedar.Example?key=7f2a', 'https://hooks.cedar.example/'],
  ['http://', null],
])('the log has %s as %s', (url, shown) => {
  expect(shownUrl(url)).toBe(shown)
})

test('the log has the values of known headers of a request only', () => {
  const headers = {
    'content-type': 'application/json',
    'webhook-id': 'evt_1',
    'webhook-signature': 'v1,abc',
    'X-Key': 'k',
  }
  expect(logRequest('https://hooks.cedar.example/', headers).headers).toEqual({
    'content-type': 'application/json',
    'webhook-id': 'evt_1',
    'webhook-signature': '[hidden]',
    'X-Key': '[hidden]',
  })
})

test('the log has no cookies or tokens of a response, at most 40 headers, and 4 KB of a success', () => {
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`x-${n}`, 'v'.repeat(1_000)]))
  const received = { headers: { 'set-cookie': ['a=1'], 'x-auth': 'b', ...many }, body: Buffer.alloc(65_536, 'x') }
  const { headers, body } = logResponse({ ...received, status: 200 }, request)
  expect(headers).toMatchObject({ 'set-cookie': '[hidden]', 'x-auth': '[hidden]', 'x-0': 'v'.repeat(256) })
  expect(Object.keys(headers)).toHaveLength(40)
  expect(body).toHaveLength(4_096)
  expect(logResponse({ ...received, status: 500 }, request).body).toHaveLength(65_536)
})

test('the log has no secret of the request that a receiver repeats, whole or in part, in any encoding', () => {
  const echo = Buffer.concat([
    Buffer.from('{"Authorization":"Bearer swordfish","token":"swordfish","id":"evt_123456","é":1}'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('Cannot POST /in?key=7f2a9c41, c2lnbmF0dXJl'),
  ])
  const { headers, body } = logResponse({ status: 404, headers: { 'x-echo': 'Bearer swordfish' }, body: echo }, request)
  expect(headers).toEqual({ 'x-echo': '[hidden]' })
  expect(body).toEqual(
    Buffer.concat([
      Buffer.from('{"Authorization":"[hidden]","token":"[hidden]","id":"evt_123456","é":1}'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('Cannot POST /in?[hidden], [hidden]'),
    ]),
  )
})

test('a secret at the limit of the stored body is not stored in part', () => {
  const body = Buffer.from(`${'x'.repeat(4_090)}swordfish`)
  expect(logResponse({ status: 200, headers: {}, body }, request).body.toString()).toBe(`${'x'.repeat(4_090)}[hidde`)
})

test('a secret that the searched part of a body cuts is not stored in part, also after others were replaced', () => {
  const secret = 's'.repeat(40)
  const hidden = { url: 'https://hooks.cedar.example/', headers: { 'x-key': secret } }
  const body = Buffer.from(`${secret}.`.repeat(500))
  const stored = logResponse({ status: 200, headers: {}, body }, hidden).body.toString()
  expect(stored).toMatch(/^(\[hidden\]\.)+/)
  expect(stored).not.toContain('sss')
})

test('the log has no secret that a receiver repeats decoded or escaped, however many there are', () => {
  const many = Array.from({ length: 200 }, (_, n) => `value-of-parameter-${n}`)
  const sent = {
    url: `https://hooks.cedar.example/in?sign=sword%2Ffish%3D%3D&${many.map((value, n) => `p${n}=${value}`).join('&')}`,
    headers: {
      authorization: `Basic ${Buffer.from('cedar:valley&pantry').toString('base64')}`,
      'x-quoted': 'a"b<c>d\'ef',
    },
  }
  const forms = ['sword/fish==', 'sword%2ffish%3d%3d', '"sword\\/fish=="', 'cedar:valley&pantry', 'valley&amp;pantry']
  const escaped = ['a\\"b<c>d\'ef', 'a&quot;b&lt;c&gt;d&#39;ef', encodeURIComponent('a"b<c>d\'ef')]
  const echo = [...forms, ...escaped, ...many].join('\n')
  const { headers, body } = logResponse(
    { status: 500, headers: { 'x-echo': 'user cedar:valley&pantry', 'sword/fish==': '1' }, body: Buffer.from(echo) },
    sent,
  )
  expect(headers).toEqual({ 'x-echo': 'user [hidden]', '[hidden]': '1' })
  expect(body.toString()).not.toMatch(/fish|valley|pantry|value-of|b<c>|b&lt;|b%3C/i)
})

test('secrets that overlap in a response leave no part of one', () => {
  const sent = { url: 'https://hooks.cedar.example/', headers: { 'x-a': 'abcdefgh', 'x-b': 'efghijklmnop' } }
  const body = Buffer.from('..abcdefghijklmnop..abcdefghabcdefgh')
  expect(logResponse({ status: 200, headers: {}, body }, sent).body.toString()).toBe('..[hidden]..[hidden][hidden]')
})

test.each([
  ['location', 'https://cedar:swordfish@login.example/in?next=7f2a#part', 'https://login.example/in'],
  ['location', '/in?token=7f2a', '/in'],
  ['refresh', '5; url=/in?token=7f2a', '5; url=/in'],
  ['link', '<https://a.example/?page=2&t=7f2a>; rel="next"', '<https://a.example/>; rel="next"'],
  ['x-request', 'POST https://a.example/in?t=7f2a HTTP/1.1', 'POST https://a.example/in HTTP/1.1'],
  ['x-question', 'what? nothing', 'what? nothing'],
])('the log has URLs of the header %s without their queries', (name, value, shown) => {
  expect(logResponse({ status: 302, headers: { [name]: value }, body: Buffer.alloc(0) }, request).headers).toEqual({
    [name]: shown,
  })
})

test('hostile responses are searched in a moment', () => {
  const values = Array.from({ length: 500 }, (_, n) => `${'x'.repeat(8)}${n}`)
  const sent = { url: `https://a.example/?${values.join('&')}`, headers: {} }
  const headers = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`x-${n}`, '/'.repeat(16_000)]))
  const began = performance.now()
  logResponse({ status: 500, headers: { location: '/'.repeat(16_000) }, body: Buffer.alloc(65_536, 'y') }, sent)
  logResponse({ status: 500, headers, body: Buffer.alloc(0) }, sent)
  expect(performance.now() - began).toBeLessThan(5_000)
})
