import { beforeEach, expect, test } from 'vitest'
import { useDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { claimQueryRound, releaseQueryRound } from './status-queries.queries.ts'

// One gateway at a time queries the texts of a day, and each claim continues where the last one stopped.

const ctx = useDatabase()
const days = ['2031-05-06', '2031-05-07']
const now = new Date('2031-05-07T12:00:00Z')
const later = new Date('2031-05-07T13:00:00Z')
let connectionId: number

beforeEach(async () => {
  connectionId = (await make.connection(ctx.db, { name: 'Cedar SMS' })).id
})

const claim = (at = now, ofDays = days) => claimQueryRound(ctx.db, connectionId, ofDays, at, 60_000)

test('each day of a connection is leased once, oldest first', async () => {
  const other = (await make.connection(ctx.db, { name: 'Birch SMS' })).id
  expect(await claim()).toEqual({ connectionId, loggedOn: days[0], cursor: 0 })
  expect(await claim()).toEqual({ connectionId, loggedOn: days[1], cursor: 0 })
  expect(await claim()).toBeUndefined()
  expect(await claimQueryRound(ctx.db, other, days, now, 60_000)).toEqual({
    connectionId: other,
    loggedOn: days[0],
    cursor: 0,
  })
})

test('a round can be claimed again after its lease', async () => {
  await claim()
  await ctx.db.exec('expire', `update query_rounds set lease_until = clock_timestamp() - interval '1 second'`)
  expect(await claim()).toMatchObject({ loggedOn: days[0] })
})

test('a round continues after its last row, and starts again when it is due', async () => {
  const day = days.slice(0, 1)
  const round = await claim(now, day)
  if (!round) throw new Error('no round was leased')
  await releaseQueryRound(ctx.db, round, 700, null)
  const next = await claim(now, day)
  expect(next).toEqual({ ...round, cursor: 700 })
  // a release with an outdated cursor has no effect
  await releaseQueryRound(ctx.db, round, 900, null)
  expect(await claim(now, day)).toBeUndefined()
  await releaseQueryRound(ctx.db, { ...round, cursor: 700 }, 0, later)
  expect(await claim(now, day)).toBeUndefined()
  expect(await claim(later, day)).toEqual({ ...round, cursor: 0 })
})

test('the round of a day that is no longer queried is deleted', async () => {
  await claim(now, days)
  await claim(now, days.slice(1))
  const remaining = await ctx.db.many<{ day: string }>('remaining', 'select logged_on as day from query_rounds')
  expect(remaining).toEqual([{ day: days[1] }])
})
