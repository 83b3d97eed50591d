import { mkdtempSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type NameAnswer, startNameServer } from '../../test/name-server.ts'
import { ConnectionPool } from './connection-pool.ts'
import { makeGuardedFetch } from './guarded-fetch.ts'
import { readHosts } from './hosts-file.ts'
import { makeResolver, type ResolverOptions } from './name-resolver.ts'

const opened: { close(): void }[] = []
afterEach(() => {
  for (const each of opened.splice(0)) each.close()
})

const noHosts = '/nowhere/hosts'

/** Starts a name server that does not respond to names that begin with `slow`, and returns a resolver that uses it. */
async function resolverOf(names: Record<string, NameAnswer>, options: ResolverOptions = {}) {
  const server = await startNameServer((name) => (/^slow/.test(name) ? null : (names[name] ?? 'unknown')))
  opened.push(server)
  return { resolve: makeResolver({ servers: [server.address], hostsFile: noHosts, ...options }), server }
}

const v4 = (address: string) => ({ address, family: 4 })
const v6 = (address: string) => ({ address, family: 6 })

test('a name has the addresses of both families, those of version 4 first', async () => {
  const { resolve } = await resolverOf({
    'hooks.example': { 4: ['192.0.2.1', '192.0.2.2'], 6: ['2001:db8::7'] },
    'six.example': { 6: ['2001:db8::8'] },
  })
  expect(await resolve('hooks.example')).toEqual([v4('192.0.2.1'), v4('192.0.2.2'), v6('2001:db8::7')])
  expect(await resolve('hooks.example.')).toHaveLength(3)
  expect(await resolve('six.example')).toEqual([v6('2001:db8::8')])
})

test.each(['unknown.example', 'empty.example', '_._', 'a..b', 'x'.repeat(64), `${'x.'.repeat(200)}example`])(
  '%s has none, which is an error',
  async (name) => {
    const { resolve } = await resolverOf({ 'empty.example': {} })
    await expect(resolve(name)).rejects.toThrow()
  },
)

test('names without a response delay neither other names nor the file system', async () => {
  const { resolve, server } = await resolverOf({ 'fast.example': { 4: ['192.0.2.1'] } })
  let failed = 0
  // their queries fit into the buffer of the server's socket, which would lose those of the other name as well
  for (let n = 0; n < 80; n++) void resolve(`slow${n}.example`).catch(() => failed++)
  for (let n = 0; n < 20; n++) {
    expect(await resolve('fast.example')).toEqual([v4('192.0.2.1')])
    expect((await readFile(import.meta.filename)).length).toBeGreaterThan(0)
  }
  // all of them still wait
  expect(failed).toBe(0)
  expect(new Set(server.queries.map(({ name }) => name)).size).toBe(81)
})

test('one family without a response does not delay the other one beyond its limit', async () => {
  const half: Record<string, NameAnswer> = {
    'four.example': { 4: ['192.0.2.1'], 6: null },
    'six.example': { 4: null, 6: ['2001:db8::7'] },
  }
  const { resolve } = await resolverOf(half, { otherFamilyMs: 20, maxMs: 60_000 })
  expect(await resolve('four.example')).toEqual([v4('192.0.2.1')])
  expect(await resolve('six.example')).toEqual([v6('2001:db8::7')])
})

describe('the hosts file', () => {
  test('has precedence, also after it was changed', async () => {
    const hostsFile = join(mkdtempSync(join(tmpdir(), 'hosts-')), 'hosts')
    const { resolve, server } = await resolverOf({ 'hooks.example': { 4: ['192.0.2.1'] } }, { hostsFile })
    expect(await resolve('hooks.example')).toEqual([v4('192.0.2.1')])
    writeFileSync(hostsFile, '10.0.0.7 Hooks.Example # ours\n')
    const queries = server.queries.length
    expect(await resolve('HOOKS.example.')).toEqual([v4('10.0.0.7')])
    writeFileSync(hostsFile, '10.0.0.8 hooks.example hooks\nfd00::8 hooks\n')
    expect(await resolve('hooks.example')).toEqual([v4('10.0.0.8')])
    expect(await resolve('hooks')).toEqual([v4('10.0.0.8'), v6('fd00::8')])
    expect(server.queries).toHaveLength(queries)
  })

  test.each([
    ['', {}],
    ['# 10.0.0.1 a\n  \n10.0.0.2\ta  b # c\r\n', { a: ['10.0.0.2'], b: ['10.0.0.2'] }],
    ['10.0.0.1 a\n10.0.0.1 a\n10.0.0.2 a.\n', { a: ['10.0.0.1', '10.0.0.2'] }],
    ['nonsense a\n10.0.0.256 a\n10.0.0.1\nfe80::1%eth0 a', { a: ['fe80::1%eth0'] }],
  ])('%j is read', (text, expected) => {
    const read = [...readHosts(text)].map(([name, addresses]) => [name, addresses.map(({ address }) => address)])
    expect(Object.fromEntries(read)).toEqual(expected)
  })

  test('need not contain localhost', async () => {
    const { resolve, server } = await resolverOf({})
    for (const name of ['localhost', 'a.LocalHost.']) {
      expect(await resolve(name)).toEqual([v4('127.0.0.1'), v6('::1')])
    }
    expect(server.queries).toEqual([])
  })
})

describe('a pool of connections', () => {
  const limits = { timeoutMs: 5_000, maxBytes: 1_000 }
  /** A server that responds when this number of requests is waiting, so that they need as many connections. */
  async function receiver(requests: number) {
    const waiting: ServerResponse[] = []
    const server = createServer((_req, res) => {
      if (waiting.push(res) === requests) for (const each of waiting.splice(0)) each.end('here')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    opened.push({ close: () => server.close().closeAllConnections() })
    return { url: `http://hooks.example:${(server.address() as AddressInfo).port}/`, server }
  }

  test('resolves the name once for connections that open at the same time', async () => {
    const { url } = await receiver(10)
    const { resolve, server } = await resolverOf({ 'hooks.example': { 4: ['127.0.0.1'] } })
    const fetch = makeGuardedFetch({ allowed: ['127.0.0.1'], resolve })
    const pool = new ConnectionPool(10)
    opened.push(pool)
    const responses = await Promise.all(Array.from({ length: 10 }, () => fetch({ ...limits, url, pool })))
    expect(responses.every(({ status }) => status === 200)).toBe(true)
    expect(server.queries).toHaveLength(2)
  })

  test('checks the addresses of each resolution, and uses open connections without one', async () => {
    const { url, server: web } = await receiver(1)
    let address = '127.0.0.1'
    const server = await startNameServer(() => ({ 4: [address] }))
    opened.push(server)
    const resolve = makeResolver({ servers: [server.address], hostsFile: noHosts })
    const fetch = makeGuardedFetch({ allowed: ['127.0.0.1'], resolve })
    const pool = new ConnectionPool(10)
    opened.push(pool)
    await fetch({ ...limits, url, pool })
    address = '169.254.169.254'
    expect(await fetch({ ...limits, url, pool })).toMatchObject({ status: 200 })
    web.closeAllConnections()
    await expect(fetch({ ...limits, url, pool })).rejects.toMatchObject({ reason: 'forbidden_address' })
  })

  test('reports a name without a response as unresolved or as a timeout', async () => {
    const { resolve } = await resolverOf({}, { maxMs: 50 })
    const fetch = makeGuardedFetch({ allowed: [], resolve })
    const pool = new ConnectionPool(10)
    opened.push(pool)
    const request = { ...limits, url: 'http://slow.example/', pool }
    await expect(fetch(request)).rejects.toMatchObject({ reason: 'unresolved' })
    await expect(fetch({ ...request, timeoutMs: 20 })).rejects.toMatchObject({ reason: 'timeout' })
  })
})
