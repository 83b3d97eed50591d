import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { foldListDeltas } from './counts.queries.ts'
import { recordListSizes } from './list-sizes.queries.ts'
import { recordListSizesJob } from './lists.jobs.ts'

const clock = { time: new Date(0), now: () => clock.time }
const api = useApi({ clock })
let listId: number

beforeEach(async () => {
  clock.time = new Date('2031-03-01T20:00:00Z')
  const { accountId, shortCode } = api.owner
  await api.db.exec('zone', `update accounts set time_zone = 'America/Los_Angeles' where id = $1`, [accountId])
  listId = (await make.list(api.db, { accountId, shortCodeId: shortCode.id })).id
  await api.db.exec('created', 'update lists set created_at = $2 where id = $1', [listId, clock.time])
})

const record = () => recordListSizesJob.run(api.rt, undefined as never, new AbortController().signal)
const change = (subscribed: number, unsubscribed = 0, cleaned = 0) =>
  api.db.exec(
    'change',
    'insert into list_deltas (list_id, prefix, subscribed, unsubscribed, cleaned) values ($1, 20655, $2, $3, $4)',
    [listId, subscribed, unsubscribed, cleaned],
  )
const sizes = async (query = '') => {
  const { status, body } = await api.owner.get(`/lists/${listId}/sizes${query}`)
  expect(status).toBe(200)
  return (body.sizes as { date: string; counts: unknown; recorded_at: string | null }[]).map((size) => [
    size.date,
    size.counts,
    size.recorded_at,
  ])
}
const of = (subscribers: number, unsubscribed = 0, cleaned = 0) => ({ subscribers, unsubscribed, cleaned })

test("a day's size is recorded once, after its end in the zone of the account, with changes that are not folded", async () => {
  await change(5)
  await record()
  expect(await sizes()).toEqual([])
  clock.time = new Date('2031-03-02T07:59:59Z')
  await record()
  expect(await sizes()).toEqual([])
  clock.time = new Date('2031-03-02T08:01:00Z')
  await change(-2, 1, 1)
  await foldListDeltas(api.db, 1)
  await record()
  const first = ['2031-03-01', of(3, 1, 1), '2031-03-02T00:01:00-08:00']
  expect(await sizes()).toEqual([first])
  await change(9)
  await record()
  expect(await sizes()).toEqual([first])
  clock.time = new Date('2031-03-03T08:00:00Z')
  await record()
  expect(await sizes()).toEqual([first, ['2031-03-02', of(12, 1, 1), '2031-03-03T00:00:00-08:00']])
})

test('days that ended while no worker ran have no counts, except the last one', async () => {
  await change(5)
  clock.time = new Date('2031-03-02T09:00:00Z')
  await record()
  clock.time = new Date('2031-03-05T20:00:00Z')
  await change(2)
  await record()
  expect(await sizes()).toEqual([
    ['2031-03-01', of(5), '2031-03-02T01:00:00-08:00'],
    ['2031-03-02', null, null],
    ['2031-03-03', null, null],
    ['2031-03-04', of(7), '2031-03-05T12:00:00-08:00'],
  ])
  expect(await sizes('?from=2031-03-03&to=20310304')).toHaveLength(2)
  expect(await sizes('?from=2031-03-04&to=2032-03-04')).toHaveLength(1)
  expect(await sizes('?to=2031-02-04')).toEqual([])
})

test('all lists are read in turns, without deleted ones', async () => {
  const { accountId, shortCode } = api.owner
  const others: number[] = []
  for (let n = 0; n < 4; n++) others.push((await make.list(api.db, { accountId, shortCodeId: shortCode.id })).id)
  await api.db.exec('created_before', `update lists set created_at = '2031-01-01'`)
  await api.db.exec('delete', 'update lists set deleted_at = now() where id = $1', [others[1]])
  clock.time = new Date('2031-03-02T09:00:00Z')
  const rounds: number[] = []
  for (let last: number | null = 0; last !== null; ) {
    last = await recordListSizes(api.db, clock.time, last, 2)
    if (last !== null) rounds.push(last)
  }
  const found = await api.db.many<{ id: number }>('found', 'select list_id as id from list_sizes order by 1')
  expect(found.map(({ id }) => id)).toEqual([listId, ...others].filter((id) => id !== others[1]))
  expect(rounds.length).toBeGreaterThanOrEqual(3)
})

describe('a period is rejected', () => {
  test.each([
    ['?from=2031-02-30', 'from', 'is not a date, such as 2031-05-06'],
    ['?to=soon', 'to', 'is not a date, such as 2031-05-06'],
    ['?from=2031-03-02&to=2031-03-01', 'from', 'is after the last day'],
    ['?from=2029-01-01&to=2031-03-01', 'from', 'is more than 399 days before the last day'],
  ])('%s', async (query, field, fault) => {
    const response = await api.owner.get(`/lists/${listId}/sizes${query}`)
    expect(response).toMatchObject({ status: 422, body: { details: { [field]: [fault] } } })
  })
})

test("a stranger's list has no sizes", async () => {
  expect((await api.stranger.get(`/lists/${listId}/sizes`)).status).toBe(404)
})
