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
