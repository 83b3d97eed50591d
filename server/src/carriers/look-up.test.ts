import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { type Env, readEnv } from '../config/config.ts'
import { carrierId, carrierName } from './carriers.ts'
import { makeLookUp } from './look-up.ts'
import { parseLookUpResult } from './look-up-provider.ts'

const ctx = useDatabase()
const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const phone = 2_065_550_143

/** The look-up service: it responds with the status and body set here, and records the requests. */
const service = { status: 200, body: '{}', requests: [] as object[], url: '', release: Promise.resolve() }
const server = createServer(async (req, res) => {
  service.requests.push({ method: req.method, authorization: req.headers.authorization, body: await json(req) })
  await service.release
  res.writeHead(service.status).end(service.body)
})

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  service.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/numbers?v=1`
})
afterAll(() => void server.close())
beforeEach(() => {
  Object.assign(service, { status: 200, body: JSON.stringify(mobile), requests: [], release: Promise.resolve() })
  clock.time = start
})

const mobile = { line_type: 'mobile', carrier: 77, carrier_name: 'Verizon', ported: true, global_carrier_id: '100313' }
const result = { kind: 'mobile', carrier: 77, carrierName: 'Verizon', ported: true, globalCarrierId: '100313' }

function lookUpWith(env: Env) {
  const lookUp = makeLookUp(makeRuntime({ db: ctx.db, clock, config: readEnv(env) }))
  return (phone: number, accountId = 1) => lookUp(phone, accountId)
}
const production = { CARILLON_MODE: 'production', CARILLON_SMPP_URL: 'smpp://a:b@carrier.example:2775' }
const makeWithService = () =>
  lookUpWith({ CARILLON_LOOKUP_URL: service.url, CARILLON_LOOKUP_TOKEN: 'a-token-of-ours-1' })
const pass = (days: number) => {
  clock.time = new Date(clock.time.getTime() + days * 86_400_000)
}

describe('without a service', () => {
  test('the sandbox has its own landlines and no other results', async () => {
    const lookUp = lookUpWith({})
    expect(await lookUp(2_065_550_100)).toMatchObject({ kind: 'landline' })
    expect(await lookUp(3_125_550_100)).toMatchObject({ kind: 'landline' })
    expect(await lookUp(phone)).toBeUndefined()
  })

  test('production has no results', async () => {
    expect(await lookUpWith(production)(2_065_550_100)).toBeUndefined()
  })
})

describe('with a service', () => {
  test('a look-up queries it with the token', async () => {
    expect(await makeWithService()(phone)).toMatchObject(result)
    expect(service.requests).toEqual([
      { method: 'POST', authorization: 'Bearer a-token-of-ours-1', body: { phone_number: '2065550143' } },
    ])
  })

  test("a look-up of the sandbox's own landlines does not query it", async () => {
    expect(await makeWithService()(2_065_550_100)).toMatchObject({ kind: 'landline' })
    expect(service.requests).toEqual([])
  })

  test('a stored result is used by all processes until it is 30 days old', async () => {
    await makeWithService()(phone)
    pass(29.9)
    expect(await makeWithService()(phone)).toMatchObject(result)
    expect(service.requests).toHaveLength(1)
    pass(0.1)
    service.body = JSON.stringify({ line_type: 'landline' })
    expect(await makeWithService()(phone)).toMatchObject({ kind: 'landline', carrier: null })
    expect(await makeWithService()(phone)).toMatchObject({ kind: 'landline', carrier: null })
    expect(service.requests).toHaveLength(2)
  })

  test('concurrent look-ups of one number share a query', async () => {
    const gate = Promise.withResolvers<void>()
    service.release = gate.promise
    const lookUp = makeWithService()
    const both = [lookUp(phone), lookUp(phone)]
    await waitFor(() => service.requests.length > 0)
    // both have read the database when this statement returns
    await ctx.db.exec('behind', 'select 1')
    gate.resolve()
    expect(await Promise.all(both)).toMatchObject([result, result])
    expect(service.requests).toHaveLength(1)
  })

  test.each([
    ['an error', 500, '{"line_type":"landline"}'],
    ['a redirect', 302, '{"line_type":"landline"}'],
    ['a web page', 200, '<html>'],
    ['an array', 200, '[]'],
    ['a body of 20 KB', 200, JSON.stringify({ line_type: 'landline', x: 'a'.repeat(20_000) })],
  ])('%s counts as no result, and an older result is returned instead', async (_case, status, body) => {
    Object.assign(service, { status, body })
    expect(await makeWithService()(phone)).toBeUndefined()
    Object.assign(service, { status: 200, body: JSON.stringify(mobile) })
    await makeWithService()(phone)
    pass(100)
    Object.assign(service, { status, body })
    expect(await makeWithService()(phone)).toMatchObject(result)
  })

  test('a query is aborted at the timeout', async () => {
    const gate = Promise.withResolvers<void>()
    service.release = gate.promise
    const lookUp = lookUpWith({ CARILLON_LOOKUP_URL: service.url, CARILLON_LOOKUP_TIMEOUT_MS: '100' })
    // the service does not respond before the end of the test
    expect(await lookUp(phone)).toBeUndefined()
    gate.resolve()
  })

  test('queries pause after five consecutive failures', async () => {
    service.status = 503
    const lookUp = makeWithService()
    for (let n = 0; n < 8; n += 1) expect(await lookUp(phone + n)).toBeUndefined()
    expect(service.requests).toHaveLength(5)
  })

  test('failures of the look-ups of one account do not stop those of another', async () => {
    service.status = 503
    const lookUp = makeWithService()
    for (let n = 0; n < 8; n += 1) await lookUp(phone + n)
    service.status = 200
    expect(await lookUp(phone)).toBeUndefined()
    expect(await lookUp(phone, 2)).toMatchObject(result)
  })

  test('production queries a private address only if the operator allows it', async () => {
    const env = { ...production, CARILLON_LOOKUP_URL: service.url }
    expect(await lookUpWith(env)(phone)).toBeUndefined()
    expect(service.requests).toEqual([])
    expect(await lookUpWith({ ...env, CARILLON_ALLOW_PRIVATE_URLS: '127.0.0.1' })(phone)).toMatchObject(result)
  })
})

test.each([
  [{}, { kind: 'unknown', carrier: null, carrierName: null, ported: null }],
  [
    { line_type: 'satellite', carrier: '79' },
    { kind: 'unknown', carrier: 79, carrierName: 'T-Mobile' },
  ],
  [
    { line_type: 'voip', carrier_name: 'google voice' },
    { kind: 'voip', carrier: 798, carrierName: 'google voice' },
  ],
  [
    { carrier: 424_242, carrier_name: 'Nobody' },
    { carrier: 424_242, carrierName: 'Nobody' },
  ],
  [{ carrier: 424_242 }, { carrier: 424_242, carrierName: null }],
  [
    { carrier: 2 ** 31, carrier_name: 7, ported: 'no' },
    { carrier: null, carrierName: '7', ported: null },
  ],
  [
    { carrier: -1, carrier_name: ' \0 ', global_carrier_id: 100_313 },
    { carrierName: null, globalCarrierId: '100313' },
  ],
  [{ carrier_name: 'x'.repeat(192) }, { carrierName: null }],
])('parses %j', (body, expected) => {
  expect(parseLookUpResult(JSON.stringify(body))).toMatchObject(expected)
})

test('finds the names and ids of carriers in the contract', () => {
  expect([383, 77, 11359, 70, 525, 537].map(carrierName)).toEqual([
    'AT&T',
    'Verizon',
    'Altice Mobile',
    'Telus',
    'Virgin Mobile',
    'Virgin Mobile',
  ])
  expect(carrierName(1)).toBeUndefined()
  expect([carrierId(' t-mobile '), carrierId('Virgin Mobile'), carrierId('')]).toEqual([79, 525, undefined])
})
