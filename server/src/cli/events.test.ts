import { expect, test } from 'vitest'
import { useCli } from '../../test/cli.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { numberEvents } from '../events/sequence.ts'
import { measureDatabase } from '../reports/metrics.ts'

const cli = useCli()
const { run, json } = cli

test('events that are set aside are counted and listed, and retried or removed', async () => {
  const { db } = cli.database
  const { id: accountId } = await make.account(db)
  const at = new Date('2031-05-06T09:00:00Z')
  const clock = { now: () => at }
  const ids: number[] = []
  for (let n = 0; n < 3; n++) {
    const { id } = await db.one<{ id: number }>(
      'spoilt',
      `insert into event_outbox (account_id, type, phone, occurred_at, time_zone, facts)
       values ($1, 'subscribe', 2065550143, $2, 'UTC', '{}') returning id`,
      [accountId, at],
    )
    ids.push(id)
  }
  const [first = 0, second = 0] = ids
  const number = async () => {
    while ((await numberEvents(db, async () => {}, { clock })).isFull);
  }
  const metric = async () =>
    (await measureDatabase(makeRuntime({ db }))).find(({ name }) => name === 'carillon_set_aside_events')?.values
  expect(await metric()).toEqual([])
  await number()
  expect(await metric()).toEqual([{ labels: { type: 'subscribe' }, value: 3 }])
  const { events } = await json('events set-aside')
  expect(events).toHaveLength(3)
  expect(events[0]).toEqual({
    event_id: first,
    account_id: accountId,
    list_id: null,
    type: 'subscribe',
    occurred_at: at.toISOString(),
    failures: 1,
    error: 'TypeError',
    retry_at: '2031-05-06T10:00:00.000Z',
  })
  expect(await run('events set-aside')).toMatch(new RegExp(`^${first} .* subscribe .* 1 +TypeError`, 'm'))
  expect(await run('events set-aside')).not.toContain('5550143')

  expect(await run(`events retry ${first}`)).toBe('Events that are retried now: 1.')
  await expect(run(`events retry ${first}`)).rejects.toThrow(`Event ${first} is not set aside.`)
  await number()
  expect((await json('events set-aside')).events[0]).toMatchObject({ event_id: first, failures: 2 })
  await db.exec('past', 'update events_set_aside set set_aside_at = now()')
  expect(await run('events retry all')).toBe('Events that are retried now: 3.')
  await number()
  expect(await run(`events remove ${second}`)).toBe(`Event ${second} is deleted.`)
  await expect(run(`events remove ${second}`)).rejects.toThrow(`Event ${second} is not set aside.`)
  await expect(run('events remove all')).rejects.toThrow('Not the id of an event: all')
  expect((await json('events set-aside')).events).toHaveLength(2)
})
