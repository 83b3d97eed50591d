import { describe, expect, test } from 'vitest'
import { readResponse, useApi } from '../../test/api.ts'

const api = useApi()

describe('the health check', () => {
  const insertHeartbeat = (role: string, details: object, age: string) =>
    api.db.exec(
      `insert_heartbeat_${role}_${age.replaceAll(' ', '_')}`,
      `insert into heartbeats (role, instance_id, details, seen_at)
       values ('${role}', gen_random_uuid(), $1, clock_timestamp() - interval '${age}')`,
      [JSON.stringify(details)],
    )
  const ready = async () => readResponse(await api.app.inject({ url: '/readyz' }))

  test('/healthz responds 200', async () => {
    expect(readResponse(await api.app.inject({ url: '/healthz' }))).toMatchObject({
      status: 200,
      body: { status: 'ok' },
    })
  })

  test('/readyz is ready when a worker and a bound gateway sent a heartbeat in the last five seconds', async () => {
    await insertHeartbeat('worker', {}, '6 s')
    await insertHeartbeat('gateway', { bound: 0 }, '1 s')
    expect(await ready()).toMatchObject({
      status: 503,
      body: { checks: { database: true, worker: false, gateway: false } },
    })
    await insertHeartbeat('worker', {}, '4 s')
    await insertHeartbeat('gateway', { bound: 2 }, '6 s')
    expect(await ready()).toMatchObject({ status: 503, body: { checks: { worker: true, gateway: false } } })
    await insertHeartbeat('gateway', { bound: 1 }, '4 s')
    expect(await ready()).toMatchObject({
      status: 200,
      body: { status: 'ready', mode: 'sandbox', problems: [], checks: { database: true, worker: true, gateway: true } },
    })
  })

  test.each([
    [{ bound: 0, connections: 1, serving: true }, 'No gateway is bound to a carrier'],
    [{ bound: 0, connections: 0, serving: true }, 'No connection is configured: set CARILLON_SMPP_URL'],
    [{ bound: 0, connections: 0, serving: false }, 'Sending is paused'],
  ])('/readyz reports the problem of a gateway with %j', async (details, problem) => {
    expect((await ready()).body.problems).toEqual(['No worker is running.', 'No gateway is running.'])
    await insertHeartbeat('worker', {}, '1 s')
    await insertHeartbeat('gateway', details, '1 s')
    expect(await ready()).toMatchObject({ status: 503, body: { problems: [expect.stringContaining(problem)] } })
  })
})

describe('the API reference', () => {
  test('names every operation and schema, and marks extensions of v2', async () => {
    const { body } = readResponse(await api.app.inject({ url: '/openapi.json' }))
    const document = body as {
      openapi: string
      paths: Record<string, Record<string, Record<string, unknown>>>
      components: object
    }
    expect(document.openapi).toBe('3.1.0')
    expect(document.paths['/readyz']?.get?.['x-extension']).toBe(true)
    expect(document.paths['/api/v2/lists']?.get).toMatchObject({ operationId: 'listLists' })
    expect(document.components).toMatchObject({ schemas: { List: {}, Subscriber: {}, Message: {}, ErrorResponse: {} } })
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    )
    expect(ids.every((id) => typeof id === 'string')).toBe(true)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('is a page that loads nothing from other hosts', async () => {
    const page = await api.app.inject({ url: '/docs/' })
    expect(page.statusCode).toBe(200)
    expect(page.headers['content-type']).toContain('text/html')
    const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '')
    expect(sources.length).toBeGreaterThan(1)
    for (const source of sources) {
      expect(source).not.toMatch(/^(?:https?:)?\/\//)
      const url = new URL(source, 'http://localhost/docs/').pathname
      expect((await api.app.inject({ url })).statusCode, source).toBe(200)
    }
    const specification = await api.app.inject({ url: '/docs/json' })
    expect(specification.json()).toMatchObject({ openapi: '3.1.0', paths: { '/api/v2/lists': {} } })
  })
})
