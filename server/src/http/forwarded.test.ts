import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { readResponse, useApi } from '../../test/api.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { type Env, readEnv } from '../config/config.ts'
import { makeApp } from './app.ts'

const api = useApi()

const forged = {
  'x-forwarded-for': '127.0.0.1, 198.51.100.9',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-port': '444',
  forwarded: 'for=198.51.100.9;host=evil.example;proto=https',
  'x-real-ip': '198.51.100.9',
  host: 'evil.example',
}

/** Sends a request as `remoteAddress` to an app with these settings; returns the response and the logged client. */
async function send(env: Env, remoteAddress: string, headers: Record<string, string>, url = '/api/v2/lists') {
  const lines: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }) as never
  const app = await makeApp(makeRuntime({ db: api.db, log, config: readEnv(env) }))
  const response = readResponse(await app.inject({ url, remoteAddress, headers }))
  await app.close()
  const completed = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'request completed')
  return { response, client: completed?.client as string }
}

describe('without trusted proxies', () => {
  test('forged headers of a proxy change nothing', async () => {
    for (const remote of ['203.0.113.5', '127.0.0.1', '::1']) {
      expect((await send({}, remote, forged)).client).toBe(remote)
      for (const url of ['/openapi.json', '/docs/', '/docs/json', '/docs', '/readyz', '/nothing']) {
        const { response } = await send({}, remote, forged, url)
        expect(response.text + JSON.stringify(response.headers), url).not.toMatch(/evil|198\.51|:444/)
      }
    }
  })

  test('/metrics does not take the forged address of this machine for the caller', async () => {
    const { response } = await send({}, '203.0.113.5', { 'x-forwarded-for': '127.0.0.1' }, '/metrics')
    expect(response.status).toBe(401)
  })
})

describe('with trusted proxies', () => {
  test.each<[why: string, trusted: string, remote: string, forwardedFor: string, client: string]>([
    ['the proxy states the client', 'loopback', '127.0.0.1', '203.0.113.5', '203.0.113.5'],
    ['the client forged the leftmost entry', 'loopback', '127.0.0.1', '10.0.0.1, 203.0.113.5', '203.0.113.5'],
    ['the client forged this machine', 'loopback', '::1', '127.0.0.1, 203.0.113.5', '203.0.113.5'],
    ['two trusted hops', '10.20.0.0/16,loopback', '127.0.0.1', '1.1.1.1, 203.0.113.5, 10.20.0.7', '203.0.113.5'],
    ['an untrusted hop in between', 'loopback', '127.0.0.1', '203.0.113.5, 10.20.0.7', '10.20.0.7'],
    ['the sender is no proxy', 'loopback', '203.0.113.5', '198.51.100.9', '203.0.113.5'],
    ['the sender is near a proxy', '10.20.0.7', '10.20.0.8', '198.51.100.9', '10.20.0.8'],
    ['an IPv4 proxy on an IPv6 socket', '10.20.0.7', '::ffff:10.20.0.7', '203.0.113.5', '203.0.113.5'],
    ['an IPv6 client', 'fd00::/8', 'fd00::1', '2001:db8::9', '2001:db8::9'],
    ['unreadable entries to the left', 'loopback', '127.0.0.1', 'unknown, ";drop, 203.0.113.5', '203.0.113.5'],
    ['an empty header', 'loopback', '127.0.0.1', ' ', '127.0.0.1'],
  ])('%s', async (_why, trusted, remote, forwardedFor, client) => {
    const headers = { ...forged, 'x-forwarded-for': forwardedFor }
    expect((await send({ CARILLON_TRUSTED_PROXIES: trusted }, remote, headers)).client).toBe(client)
  })

  test('/metrics without a token does not respond to requests through a proxy', async () => {
    const env = { CARILLON_TRUSTED_PROXIES: 'loopback' }
    const scrape = async (headers: Record<string, string>) =>
      (await send(env, '127.0.0.1', headers, '/metrics')).response
    expect((await scrape({ 'x-forwarded-for': '127.0.0.1' })).status).toBe(401)
    expect((await scrape({})).status).toBe(200)
  })
})

test('published URLs start with CARILLON_PUBLIC_URL, whatever the headers', async () => {
  const env = { CARILLON_PUBLIC_URL: 'https://texts.example.org', CARILLON_TRUSTED_PROXIES: 'loopback' }
  const { response } = await send(env, '127.0.0.1', forged, '/openapi.json')
  expect(response.body.servers).toEqual([{ url: 'https://texts.example.org' }])
  const { response: page } = await send(env, '127.0.0.1', forged, '/docs/json')
  expect(page.body.servers).toEqual([
    { url: '/', description: 'The address of this page' },
    { url: 'https://texts.example.org' },
  ])
})
