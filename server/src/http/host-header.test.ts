import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeRuntime } from '../../test/runtime.ts'
import { readEnv } from '../config/config.ts'
import { startApi } from './app.ts'

let server: Awaited<ReturnType<typeof startApi>>

beforeAll(async () => {
  const db = { exec: async () => {} } as never
  server = await startApi(makeRuntime({ db, config: readEnv({ CARILLON_PORT: '0' }) }))
})
afterAll(() => server.stop())

/** Sends these header lines and returns the response. */
async function send(lines: string[], version = '1.1'): Promise<string> {
  const socket = connect(server.port, '127.0.0.1')
  socket.write([`GET /healthz HTTP/${version}`, ...lines, 'Connection: close', '', ''].join('\r\n'))
  return text(socket)
}

test.each([
  'Host: example.org',
  'Host: localhost:8080',
  'host:127.0.0.1:8080',
  'HOST: [::1]:8080',
  'Host: carillon_api.internal:80',
  'Host: xn--bcher-kva.example',
  'Host:',
])('accepts %s', async (line) => {
  expect(await send([line])).toMatch(/^HTTP\/1\.1 200 /)
})

test('accepts HTTP/1.0 without Host', async () => {
  expect(await send([], '1.0')).toMatch(/^HTTP\/1\.1 200 /)
})

test.each<[lines: string[], reason: string]>([
  [['Host: a.example', 'Host: b.example'], 'The header Host occurs more than once'],
  [['Host: a.example', 'X: y', 'HOST: a.example'], 'The header Host occurs more than once'],
  [['Host: a.example', 'Host:'], 'The header Host occurs more than once'],
  [[], 'The header Host is missing'],
  ...[
    'a.example, b.example',
    'a.example b.example',
    'a.example/path',
    'user@a.example',
    'http://a.example',
    'a.example:80:80',
    'a.example:x',
    'a.example?x',
    'a.example#x',
    'a"example',
    'a\\example',
    '<script>',
    'bücher.example',
    '[::1',
    '::1',
  ].map((host): [string[], string] => [[`Host: ${host}`], 'The header Host is not a name or an address with a port']),
])('rejects %j', async (lines, reason) => {
  const [head = '', body = ''] = (await send(lines)).split('\r\n\r\n')
  expect(head).toMatch(/^HTTP\/1\.1 400 /)
  expect(JSON.parse(body)).toMatchObject({ status: 'error', code: 'unreadable_request', error: reason })
})
