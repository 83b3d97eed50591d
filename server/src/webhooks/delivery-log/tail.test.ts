import { expect, test } from 'vitest'
import { useDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { waitFor } from '../../../test/wait-for.ts'
import type { Db } from '../../db/db.ts'
import { followAttempts } from './tail.ts'

const database = useDatabase()

test('attempts that the filter does not select are not read again and again', async () => {
  const { db } = database
  const list = await make.list(db)
  const { id: webhookId } = await make.webhook(db, { listId: list.id })
  await make.deliveryAttempt(db, { webhookId })
  const reads: { after: number; limit: number }[] = []
  const recording: Db = {
    ...db,
    one: (name, statement, params) => {
      if (name === 'find_tail_end') reads.push({ after: Number(params?.[0]), limit: Number(params?.[1]) })
      return db.one(name, statement, params)
    },
  }
  const stopped = new AbortController()
  const found: number[] = []
  const ended = (async () => {
    const filter = { accountId: null, endpointId: null, failedOnly: true }
    for await (const { id } of followAttempts(recording, filter, stopped.signal)) found.push(id)
  })()
  await waitFor(() => reads.length > 0)
  await db.exec(
    'copy',
    `insert into delivery_attempts (account_id, endpoint_id, position, type, is_test, attempt, outcome, started_at, duration_ms,
                                    request_headers)
     select account_id, endpoint_id, position, type, is_test, attempt, 'delivered', started_at, duration_ms, request_headers
       from delivery_attempts, generate_series(1, 9000)`,
  )
  const { id } = await make.deliveryAttempt(db, { webhookId, outcome: 'failed' })
  await waitFor(() => (reads.at(-1)?.after ?? 0) > id - 2_100)
  stopped.abort()
  await ended
  expect(found).toEqual([id])
  expect(Math.max(...reads.map(({ limit }) => limit))).toBe(4_000)
})
