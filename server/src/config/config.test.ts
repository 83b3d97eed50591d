import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { maxTimerMs } from '../lib/timers.ts'
import { ConfigError, type Env, readEnv } from './config.ts'
import { loadEnvFileIfPresent } from './environment.ts'
import { type Setting, settings } from './settings.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function writeTemp(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-config-'))
  folders.push(folder)
  writeFileSync(join(folder, 'file'), text)
  return join(folder, 'file')
}

function faultsOf(env: Env): readonly string[] {
  try {
    readEnv(env)
    return []
  } catch (e) {
    if (e instanceof ConfigError) return e.faults
    throw e
  }
}

test('an empty environment yields a sandbox on loopback', () => {
  const config = readEnv({})
  expect(config.mode).toBe('sandbox')
  expect(config.http).toEqual({
    host: '127.0.0.1',
    port: 8080,
    publicUrl: 'http://127.0.0.1:8080',
    linkUrl: 'http://127.0.0.1:8080',
    trustedProxies: [],
    maxSockets: 10_000,
    bufferBytes: 64_000_000,
  })
  expect(config.dataDir).toMatch(/\/data$/)
  expect(config.simulator.rawFile).toBe(join(config.dataDir, 'simulator', 'submits.raw'))
  expect(config.send).toEqual({ leaseMs: 5000, responseDeadlineMs: 10_000, receiptDeadlineMs: 259_200_000 })
  expect(config.databaseUrl).toBeUndefined()
  expect(config.allowPrivateUrls).toEqual(['127.0.0.0/8', '::1/128'])
})

test('the operator sets the private ranges, to which the sandbox adds loopback', () => {
  const production = { CARILLON_MODE: 'production', CARILLON_SMPP_URL: 'smpp://a:b@carrier.example:2775' }
  expect(readEnv(production).allowPrivateUrls).toEqual([])
  const env = { CARILLON_ALLOW_PRIVATE_URLS: '10.0.0.0/8' }
  expect(readEnv({ ...production, ...env }).allowPrivateUrls).toEqual(['10.0.0.0/8'])
  expect(readEnv(env).allowPrivateUrls).toEqual(['10.0.0.0/8', '127.0.0.0/8', '::1/128'])
})

test.each([
  ['https://texts.example.org', 'https://texts.example.org'],
  ['https://texts.example.org/', 'https://texts.example.org'],
  ['HTTPS://Texts.Example.org:443', 'https://texts.example.org'],
  ['https://texts.example.org:8443', 'https://texts.example.org:8443'],
  ['http://[::1]:8080', 'http://[::1]:8080'],
])('reads the public URL %s as %s', (url, base) => {
  expect(readEnv({ CARILLON_PUBLIC_URL: url }).http.publicUrl).toBe(base)
})

test.each([
  ...[
    'texts.example.org',
    'texts.example.org:443',
    '//texts.example.org',
    'ftp://texts.example.org',
    'https:',
    'https://',
  ],
  ...['https://texts.example.org/texts', 'https://texts.example.org/?', 'https://texts.example.org#a', 'https:/x/y'],
  ...[
    'https://me@texts.example.org',
    'https://:pw@texts.example.org',
    'https://texts.example.org:99999',
    'https://a b',
  ],
])('rejects the public URL %s', (url) => {
  expect(faultsOf({ CARILLON_PUBLIC_URL: url })).toEqual([
    expect.stringMatching(
      /^CARILLON_PUBLIC_URL must be an http:\/\/ or https:\/\/ address without path and query, not /,
    ),
  ])
})

test('the trusted proxies are addresses, ranges and the word loopback', () => {
  const read = (text: string) => readEnv({ CARILLON_TRUSTED_PROXIES: text }).http.trustedProxies
  expect(read('loopback')).toEqual(['127.0.0.0/8', '::1/128'])
  expect(read(' 10.20.0.7, Loopback ,fd00::/8,')).toEqual(['10.20.0.7', '127.0.0.0/8', '::1/128', 'fd00::/8'])
  for (const text of [
    'true',
    '*',
    '1',
    'proxy.example.org',
    'loopback/8',
    'loopbacks',
    '10.0.0.0/33',
    '0.0.0.0/0',
    '::/00',
  ]) {
    expect(faultsOf({ CARILLON_TRUSTED_PROXIES: text }), text).toEqual([
      expect.stringContaining('CARILLON_TRUSTED_PROXIES must be'),
    ])
  }
})

test.each(['lookup.example', 'ftp://lookup.example/', 'https://user:pw@lookup.example/', 'https://lookup.example/#x'])(
  'rejects the look-up URL %s',
  (url) => {
    expect(faultsOf({ CARILLON_LOOKUP_URL: url })).toEqual([expect.stringContaining('CARILLON_LOOKUP_URL must be')])
  },
)

test('the certificate file of the simulator must exist and contain the key', () => {
  const { cert, key } = makeAuthority().issue('127.0.0.1')
  const faults = (file: string) => faultsOf({ CARILLON_SIMULATOR_TLS_FILE: file })
  expect(faults(writeTemp(cert + key))).toEqual([])
  for (const file of ['/nowhere/tls.pem', tmpdir(), writeTemp('no certificate'), writeTemp(cert)]) {
    expect(faults(file)).toEqual([expect.stringMatching(/^CARILLON_SIMULATOR_TLS_FILE cannot be used: ./)])
  }
})

test('the file of extra authorities must exist and contain certificates', () => {
  const { cert, issue } = makeAuthority()
  const faults = (file: string) => faultsOf({ CARILLON_EXTRA_CA_FILE: file })
  expect(faults(writeTemp(`# ours\n${cert}\n${makeAuthority().cert}`))).toEqual([])
  for (const file of [
    '/nowhere/ca.pem',
    tmpdir(),
    writeTemp(''),
    writeTemp(issue('a').key),
    writeTemp(cert.replace(/A/g, 'B')),
  ]) {
    expect(faults(file)).toEqual([expect.stringMatching(/^CARILLON_EXTRA_CA_FILE cannot be used: ./)])
  }
})

test('one error lists all invalid settings, each with its variable', () => {
  const faults = faultsOf({
    CARILLON_PORT: 'eighty',
    CARILLON_MODE: 'live',
    CARILLON_RATE_LIMIT: 'none',
    CARILLON_PUBLIC_URL: 'ftp://example.org',
    DATABASE_URL: 'mysql://localhost/x',
    CARILLON_ALLOW_PRIVATE_URLS: '10.0.0.0/8, 10.0.0.0/33',
    CARILLON_PROT: '8081',
  })
  expect(faults.map((fault) => fault.split(' ')[0]).sort()).toEqual([
    'CARILLON_ALLOW_PRIVATE_URLS',
    'CARILLON_MODE',
    'CARILLON_PORT',
    'CARILLON_PROT',
    'CARILLON_PUBLIC_URL',
    'CARILLON_RATE_LIMIT',
    'DATABASE_URL',
  ])
  expect(faults).toContain('CARILLON_PORT must be a whole number from 0 to 65535, not "eighty"')
})

test.each(['-1', '65536', '80.5', '0x50', '8e1', '8080 x'])('rejects %s as a port', (port) => {
  expect(faultsOf({ CARILLON_PORT: port })).toHaveLength(1)
})

describe('each setting that is a number', () => {
  const numbers = Object.entries<Setting<unknown>>(settings).flatMap(([name, { parse }]) =>
    parse.range ? [{ name, parse, ...parse.range }] : [],
  )

  test('is accepted at its limits and rejected outside of them', () => {
    expect(numbers.length).toBeGreaterThan(10)
    for (const { name, parse, min, max } of numbers) {
      expect(parse(String(min)), name).toBe(min)
      expect(parse(String(max)), name).toBe(max)
      expect(faultsOf({ [name]: String(max) }), name).toEqual([])
      for (const value of [min - 1, max + 1, '9'.repeat(400)]) {
        expect(() => parse(String(value)), name).toThrow(`must be a whole number from ${min} to ${max}`)
      }
    }
  })

  test('is a delay that a timer can wait, if timers use it', () => {
    for (const { name, max } of numbers) {
      if (name.endsWith('_MS')) expect(max, name).toBeLessThanOrEqual(maxTimerMs)
    }
  })
})

test('an empty or blank variable counts as absent', () => {
  expect(readEnv({ CARILLON_PORT: '', CARILLON_SMPP_URL: '  ' }).http.port).toBe(8080)
})

describe('the SMPP account', () => {
  test('is parsed from one URL, with encoded characters decoded', () => {
    const { smpp } = readEnv({
      CARILLON_MODE: 'production',
      CARILLON_SMPP_URL: 'smpps://our%40id:p%3Aw%2F@smsc.example.net?window=25&mps=30&binds=2',
    })
    expect(smpp).toMatchObject({ host: 'smsc.example.net', port: 3550, tls: true, window: 25, mps: 30, binds: 2 })
    expect(smpp?.systemId).toBe('our@id')
    expect(smpp?.password.reveal()).toBe('p:w/')
  })

  test('has undefined limits if the URL does not set them', () => {
    const { smpp } = readEnv({ CARILLON_SMPP_URL: 'smpp://a:b@[::1]' })
    expect(smpp).toMatchObject({
      host: '::1',
      port: 2775,
      tls: false,
      window: undefined,
      mps: undefined,
      binds: undefined,
    })
  })

  test.each([
    ['http://a:b@localhost', 'must look like'],
    ['smpp://localhost:2775', 'must look like'],
    ['smpp://a:b@localhost?windows=5', 'not "windows"'],
    ['smpp://a:b@localhost?window=0', 'parameter window, which must be a whole number'],
    [`smpp://a:${'x'.repeat(64)}@localhost`, 'more than 63 characters'],
    ['smpp://a:b@smsc.example.net', 'must point to loopback'],
    ['smpp://a:b@127.0.0.1.example.net', 'must point to loopback'],
  ])('is not parsed from %s', (url, reason) => {
    const faults = faultsOf({ CARILLON_SMPP_URL: url })
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(reason)
  })
})

test('accepts a secret key of 32 bytes in hex or base64 only', () => {
  const bytes = Buffer.alloc(32, 0xfb)
  for (const text of [bytes.toString('hex'), bytes.toString('hex').toUpperCase(), bytes.toString('base64')]) {
    expect(readEnv({ CARILLON_SECRET_KEY: text }).secretKey?.reveal()).toBe(bytes.toString('hex'))
  }
  expect(readEnv({ CARILLON_SECRET_KEY: bytes.toString('base64url') }).secretKey?.reveal()).toBe(bytes.toString('hex'))
  for (const text of ['secret', 'a'.repeat(63), 'g'.repeat(64), bytes.subarray(1).toString('base64')]) {
    const faults = faultsOf({ CARILLON_SECRET_KEY: text })
    expect(faults).toEqual([expect.stringContaining('CARILLON_SECRET_KEY must be 32 bytes')])
    expect(faults[0]).not.toContain(text)
  }
})

test('production starts without a connection, and rejects sandbox settings', () => {
  const faults = faultsOf({
    CARILLON_MODE: 'production',
    CARILLON_SANDBOX_API_KEY: 'a-key-of-sixteen-characters',
    CARILLON_SIMULATOR_LATENCY_MS: '0',
  })
  expect(faults).toEqual([
    'CARILLON_SANDBOX_API_KEY is accepted in sandbox mode only',
    'CARILLON_SIMULATOR_LATENCY_MS is accepted in sandbox mode only',
  ])
})

test('a secret is never printed by JSON, inspect or string conversion', () => {
  const config = readEnv({
    DATABASE_URL: 'postgresql://u:hush-hush@db/x',
    CARILLON_SMPP_URL: 'smpp://a:hushhush@localhost',
    CARILLON_SANDBOX_API_KEY: 'hush-hush-hush-hush',
  })
  expect(JSON.stringify(config) + inspect(config, { depth: 9, showHidden: true }) + config.databaseUrl).not.toContain(
    'hush',
  )
  expect(config.databaseUrl?.reveal()).toBe('postgresql://u:hush-hush@db/x')
})

test('the error about an invalid secret does not quote it', () => {
  const secrets = { DATABASE_URL: 'hush-hush', CARILLON_SMPP_URL: 'smpp:hush', CARILLON_SANDBOX_API_KEY: 'hush hush' }
  expect(faultsOf(secrets)).toHaveLength(3)
  expect(faultsOf(secrets).join()).not.toContain('hush')
})

test('reads a secret from a file', () => {
  const file = writeTemp('postgresql://u:p@db/x\n')
  expect(readEnv({ DATABASE_URL_FILE: file }).databaseUrl?.reveal()).toBe('postgresql://u:p@db/x')
  expect(faultsOf({ DATABASE_URL_FILE: `${file}.gone` })[0]).toContain('DATABASE_URL_FILE cannot be read')
  expect(faultsOf({ CARILLON_PORT_FILE: file })).toEqual(['CARILLON_PORT_FILE is not a setting'])
})

test('the configuration is deeply frozen', () => {
  const config = readEnv({})
  expect(() => Object.assign(config.http, { port: 1 })).toThrow(TypeError)
  expect(() => config.allowPrivateUrls.push('0.0.0.0/0')).toThrow(TypeError)
})

test('the environment takes precedence over the .env file', () => {
  const file = writeTemp('CARILLON_TEST_BOTH=file\nCARILLON_TEST_FILE_ONLY=file\n')
  process.env.CARILLON_TEST_BOTH = 'environment'
  try {
    loadEnvFileIfPresent(file)
    expect([process.env.CARILLON_TEST_BOTH, process.env.CARILLON_TEST_FILE_ONLY]).toEqual(['environment', 'file'])
  } finally {
    delete process.env.CARILLON_TEST_BOTH
    delete process.env.CARILLON_TEST_FILE_ONLY
  }
})
