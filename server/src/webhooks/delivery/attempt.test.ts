import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { start } from '../../../test/webhook-world.ts'
import { ConnectionPool } from '../../lib/connection-pool.ts'
import type { GuardedRequest } from '../../lib/guarded-fetch.ts'
import { Sealer } from '../../lib/seal.ts'
import { attemptDelivery } from './attempt.ts'

test('an attempt is a POST that may take 10 s, with a response of at most 64 KB', async () => {
  const requests: GuardedRequest[] = []
  const sender = {
    clock: { now: () => start },
    ...{ userAgent: 'Carillon/test', sealer: new Sealer(randomBytes(32)) },
    fetch: async (request: GuardedRequest) => {
      requests.push(request)
      return { status: 204, headers: {}, body: Buffer.alloc(0) }
    },
  }
  const endpoint = {
    ...{ id: 7, accountId: 1, url: 'https://hooks.cedar.example/in', headers: null, callsPerSecond: null, revision: 0 },
    ...{ failingSince: null, secret: null, previousSecret: null, previousSecretUntil: null },
  }
  const delivery = {
    ...{
      id: 1,
      position: 9,
      type: 'subscribe',
      phone: 2_065_550_100,
      attempts: 0,
      round: 0,
      payload: '{"type":"subscribe"}',
    },
    ...{ isTest: false, isAfterDeadLetter: false, callbackUrl: null },
  }
  await attemptDelivery(sender, endpoint, delivery, new ConnectionPool(1))
  expect(requests).toMatchObject([
    { method: 'POST', url: endpoint.url, body: delivery.payload, timeoutMs: 10_000, maxBytes: 65_536 },
  ])
})
