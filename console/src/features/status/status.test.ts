import { expect, test } from 'vitest'
import { describeStatus, readReadiness } from './status.ts'

const ready = { status: 'ready', mode: 'sandbox', checks: { database: true, worker: true, gateway: true } }

test('describes a ready server as running', () => {
  const status = readReadiness(ready)
  expect(status).toEqual({ kind: 'known', ready: true, mode: 'sandbox', checks: ready.checks })
  expect(status && describeStatus(status)).toMatchObject({ tone: 'good', title: 'Carillon is running' })
})

test.each([
  [{ database: true, worker: true, gateway: false }, 'Waiting for the gateway.'],
  [{ database: true, worker: false, gateway: false }, 'Waiting for the worker and gateway.'],
  [{}, 'Waiting for the database, worker, and gateway.'],
  [{ database: true, worker: true, gateway: true }, 'It will be ready in a moment.'],
])('describes the checks %j as: %s', (checks, detail) => {
  const status = readReadiness({ status: 'not_ready', mode: 'production', checks })
  expect(status && describeStatus(status)).toMatchObject({ tone: 'waiting', detail })
})

test.each([
  null,
  'ready',
  [],
  {},
  { ...ready, checks: null },
  { ...ready, status: 'fine' },
  { ...ready, mode: 'test' },
])('rejects the readiness %j', (body) => {
  expect(readReadiness(body)).toBeUndefined()
})
