import { expect, test } from 'vitest'
import { logRequest, logResponse, shownUrl } from './logged-exchange.ts'

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
  const { headers, body } = logResponse({ ...received, status: 200 })
  expect(headers).toMatchObject({ 'set-cookie': '[hidden]', 'x-auth': '[hidden]', 'x-0': 'v'.repeat(256) })
  expect(Object.keys(headers)).toHaveLength(40)
  expect(body).toHaveLength(4_096)
  expect(logResponse({ ...received, status: 500 }).body).toHaveLength(65_536)
})
