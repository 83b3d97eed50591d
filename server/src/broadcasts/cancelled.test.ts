import { beforeEach, expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSubmitting, unmarkSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { cancelMessage } from '../messages/stop/cancel.ts'
import { cancelQueued } from './cancelled.ts'
import { expandOnce } from './expand.ts'

const ctx = useDatabase()
const rt = () => makeRuntime({ db: ctx.db })
let list: Awaited<ReturnType<typeof make.list>>
beforeEach(async () => {
  list = await make.list(ctx.db)
})

async function broadcast(recipients: number): Promise<number> {
  await make.subscribers(ctx.db, { listId: list.id, count: recipients })
  const { id } = await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Hello' })
  while (await expandOnce(rt()));
  return id
}

async function leaseChunk() {
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 2, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(ctx.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  return { chunk, queued: await listQueued(ctx.db, chunk) }
}

test('a mark cancels the texts of a cancelled message, including texts that were unmarked', async () => {
  const id = await broadcast(10)
  const { chunk, queued } = await leaseChunk()
  const first = await markSubmitting(ctx.db, chunk, queued.slice(0, 5), new Date())
  expect(first).toHaveLength(5)
  await cancelMessage(rt(), list.id, id)
  await unmarkSubmitting(ctx.db, chunk, first)
  expect(await markSubmitting(ctx.db, chunk, queued, new Date())).toEqual([])
  expect(await readCounters(ctx.db, id)).toMatchObject({ audience: 10, cancelled: 10, queued: 0, submitting: 0 })
  await checkCounters(ctx.db, id)
})

test('cancelQueued cancels the queued rows of cancelled messages, and does not change submitting rows', async () => {
  const id = await broadcast(13_500)
  const { chunk, queued } = await leaseChunk()
  await markSubmitting(ctx.db, chunk, queued.slice(0, 5), new Date())
  const other = await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Another' })
  while (await expandOnce(rt()));
  expect(await cancelQueued(rt())).toBe(0)
  await cancelMessage(rt(), list.id, id)
  expect(await cancelQueued(rt())).toBe(1)
  expect(await readCounters(ctx.db, id)).toMatchObject({ cancelled: 13_495, submitting: 5, queued: 0 })
  expect(await readCounters(ctx.db, other.id)).toMatchObject({ cancelled: 0, queued: 13_500 })
  expect(await cancelQueued(rt())).toBe(0)
  for (const each of [id, other.id]) await checkCounters(ctx.db, each)
})
