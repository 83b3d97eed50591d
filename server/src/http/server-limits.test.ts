import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { makeApp } from './app.ts'
import { timing } from './timing.ts'

const api = useApi()

test('100 headers are accepted, and more are a 431', async () => {
  const app = await makeApp(makeRuntime({ db: api.db }))
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const call = async (headers: string[]) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(`GET /healthz HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`)
    return text(socket)
  }
  const few = Array.from({ length: 98 }, (_, n) => `x-${n}:1`)
  expect(await call(['Host: a', 'Connection: close', ...few])).toMatch(/^HTTP\/1\.1 200 /)
  for (const count of [99, 2_200]) {
    const many = Array.from({ length: count }, (_, n) => `${n.toString(36)}:`)
    const response = await call(['Host: a', 'Connection: close', ...many])
    expect(response).toMatch(/^HTTP\/1\.1 431 [\s\S]*and 100 headers\)","code":"unreadable_request"/)
  }
  await app.close()
})

test('a socket that sends no complete header is closed with a 408', async () => {
  const app = await makeApp(makeRuntime({ db: api.db }), { ...timing, headersMs: 100, checkMs: 50 })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const responses = ['', 'GET /healthz HTTP/1.1\r\n'].map((bytes) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(bytes)
    return text(socket)
  })
  for (const response of await Promise.all(responses)) {
    expect(response).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"unreadable_request"/)
  }
  await app.close()
})
