import { beforeEach, expect, test } from 'vitest'
import { explain } from '../../../test/explain.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import type { Db } from '../../db/db.ts'
import type { NumberedEvent } from '../../events/event-types.ts'
import { insertDeliveries } from './deliveries.queries.ts'
import { type DeliveryAttempt, recordAttempts } from './results.queries.ts'

// The queue is empty most of the time, and the statistics say so when it becomes long. The statements must not read the whole
// queue for each of their rows then.

const waiting = 10_000
const batch = 200

const world = useWebhooks()
let list: { id: number; webhookId: number }
let endpointId: number

beforeEach(async () => {
  list = await world.listWith('http://127.0.0.1:1/')
  const find = 'select id from endpoints where webhook_id = $1'
  endpointId = (await world.db.one<{ id: number }>('find_endpoint', find, [list.webhookId])).id
})

async function makeQueue(state: 'vacuumed' | 'analyzed') {
  const { db } = world
  // as after a queue that was delivered: pages without rows
  const insert = `insert into deliveries (endpoint_id, position, phone, due_at)
                  select $1, n, ${phones(1)[0]} + n % 5000, $2 from generate_series(1, ${waiting}) as n`
  await db.exec('fill', insert, [endpointId, start])
  await db.exec('empty', 'delete from deliveries where endpoint_id = $1', [endpointId])
  if (state === 'vacuumed') await db.exec('vacuum', 'vacuum (truncate off, analyze) deliveries')
  else await db.exec('analyze', 'analyze deliveries')
  await db.exec('refill', insert, [endpointId, start])
}

const attemptsOf = (rows: { id: number; position: number; phone: number }[], outcome: DeliveryAttempt['outcome']) =>
  rows.map(
    (row): DeliveryAttempt => ({
      delivery: { ...row, round: 0, type: 'subscribe', isTest: false, accountId: world.accountId, endpointId },
      revision: 1,
      ...{ attempt: 1, outcome, retryAt: start, pauseMs: 0, startedAt: start, durationMs: 5, status: 500, error: null },
      ...{ request: { url: null, headers: {} }, response: null },
    }),
  )

test.each(['vacuumed', 'analyzed'] as const)(
  'a result is recorded by keys in a long queue that was %s while it was empty',
  async (state) => {
    await makeQueue(state)
    const rows = await world.db.many<{ id: number; position: number; phone: number }>(
      'first',
      `select id, position, phone from deliveries order by id limit ${batch}`,
    )
    for (const outcome of ['delivered', 'failed', 'dead'] as const) {
      const record = (db: Db) => recordAttempts(db, attemptsOf(rows, outcome))
      const found = await explain(world, record)
      expect(found.compared, outcome).toBeLessThan(5 * batch * batch + 50 * batch)
    }
  },
)

test.each(['vacuumed', 'analyzed'] as const)(
  'events are queued by keys in a long queue that was %s while it was empty',
  async (state) => {
    await makeQueue(state)
    const events = phones(batch).map(
      (phone, n): NumberedEvent => ({
        ...{
          position: 50_000 + n,
          accountId: world.accountId,
          listId: list.id,
          type: 'subscribe',
          phone,
          occurredAt: start,
          payload: '{}',
          callbackUrl: null,
        },
      }),
    )
    const insert = (db: Db) =>
      insertDeliveries({ ...db, many: async () => [{ id: endpointId }] as never }, events, start)
    const found = await explain(world, insert)
    expect(found.compared).toBeLessThan(50 * batch)
  },
)
