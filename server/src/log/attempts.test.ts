import { expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { deleteAttemptsJob } from '../broadcasts/broadcasts.jobs.ts'
import { insertAttempts } from './attempts.queries.ts'

const ctx = useDatabase()

test('deletes attempts 30 days after the day of their text', async () => {
  const now = new Date('2026-03-31T12:00:00Z')
  const days = ['2026-02-28', '2026-03-01', '2026-03-31']
  const rest = { part: 0, connectionId: 1, writtenAt: null, responseMs: null, outcome: 'not written' }
  await insertAttempts(
    ctx.db,
    days.map((day, index) => ({ logId: index, day, ...rest })),
  )
  const rt = makeRuntime({ db: ctx.db, clock: { now: () => now } })
  await deleteAttemptsJob.run(rt, {}, new AbortController().signal)
  const left = await ctx.db.many<{ id: number }>('left', 'select log_id as id from submit_attempts order by 1', [])
  expect(left.map(({ id }) => id)).toEqual([1, 2])
})
