import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { acceptBroadcast, sendSystemText, sendToNumbers } from '../messages/messages.ts'
import { explain } from '../reports/explanation.ts'
import { blockNumbers } from '../short-codes/short-codes.queries.ts'
import type { Chunk } from './chunk.ts'
import { claimChunks } from './claims.queries.ts'
import type { Consent } from './consent.ts'
import { markSubmitting } from './marks.queries.ts'
import { listStillAllowed } from './partial-sends.queries.ts'

// The consent that a mark checks, for each kind of message.

const now = new Date('2031-05-06T18:00:00Z')
const stopped = 2_065_560_001
const other = 2_065_560_002

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
  for (const phone of [stopped, other]) await make.subscriber(database.db, { listId: list.id, phone })
})
afterEach(() => database.close())

const rt = () => ({ ...makeRuntime({ db: database.db }), clock: { now: () => now } })
const block = (shortCodeId = list.shortCodeId) => blockNumbers(database.db, shortCodeId, [stopped], now)

/** Queues a message of each kind to both numbers, and returns its id. */
const kinds: Record<string, { consent: Consent; send: () => Promise<number> }> = {
  'a broadcast': {
    consent: 'subscribed',
    send: async () => {
      const { id } = await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Soup on Friday' })
      while (await expandOnce(rt()));
      return id
    },
  },
  'a text to numbers of a list': {
    consent: 'not_opted_out',
    send: async () => (await sendToNumbers(rt(), { ...text(), listId: list.id, phones: [stopped, other] })).id,
  },
  'a text without a list': {
    consent: 'not_opted_out',
    send: async () => (await sendToNumbers(rt(), { ...text(), listId: null, phones: [stopped, other] })).id,
  },
}

const text = () => ({
  accountId: list.accountId,
  shortCodeId: list.shortCodeId,
  content: 'Your table is ready',
  field: 'number',
})

async function lease(): Promise<Chunk> {
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now, fromLane: 0, toLane: 9, limit: 1 }
  const [chunk] = await claimChunks(database.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  return chunk
}

async function mark(): Promise<number[]> {
  const chunk = await lease()
  const queued = await listQueued(database.db, chunk)
  const ids = await markSubmitting(database.db, chunk, queued, now)
  return queued.filter(({ id }) => ids.includes(id)).map(({ phone }) => phone)
}

describe.each(Object.keys(kinds))('%s', (kind) => {
  const { consent, send } = kinds[kind] as (typeof kinds)[string]

  test('is suppressed for a number that is blocked at its short code, with the reason', async () => {
    const messageId = await send()
    await block()
    expect(await mark()).toEqual([other])
    expect(await readCounters(database.db, messageId)).toMatchObject({ submitting: 1, suppressed: 1 })
    await checkCounters(database.db, messageId)
    const row = await database.db.one('row', 'select state, reason from message_log where phone = $1', [stopped])
    expect(row).toEqual({ state: 'suppressed', reason: 'stopped' })
    const { accountId } = list
    const listId = kind === 'a text without a list' ? null : list.id
    const { reason, summary } = await explain(database.db, { accountId, listId, messageId, phone: stopped })
    expect({ reason, summary }).toEqual({
      reason: 'stopped',
      summary: 'It was not sent: the number had sent STOP to the short code.',
    })
  })

  test('is sent to a number that is blocked at another short code', async () => {
    await send()
    await block((await make.shortCode(database.db, { accountId: list.accountId })).id)
    expect(await mark()).toEqual([stopped, other])
  })

  test('is not completed for a blocked number after some of its parts were sent', async () => {
    await send()
    const chunk = await lease()
    expect(chunk.consent).toBe(consent)
    const queued = await listQueued(database.db, chunk)
    await markSubmitting(database.db, chunk, queued, now)
    expect(await listStillAllowed(database.db, chunk, queued, now)).toHaveLength(2)
    await block()
    const allowed = await listStillAllowed(database.db, chunk, queued, now)
    expect(queued.filter(({ id }) => allowed.includes(id)).map(({ phone }) => phone)).toEqual([other])
  })
})

test.each(['reply', 'not_opted_out'] as const)(
  'a system text with the consent %s to a blocked number',
  async (consent) => {
    await block()
    const { accountId, shortCodeId } = list
    const reply = { accountId, listId: list.id, shortCodeId, phone: stopped, content: 'You are out.', consent }
    await database.db.tx((tx) => sendSystemText(tx, rt(), reply))
    // only the reply to the person's own text is sent
    expect(await mark()).toEqual(consent === 'reply' ? [stopped] : [])
  },
)

test('a blocked number is suppressed as stopped, one without a subscription as not subscribed', async () => {
  const messageId = await kinds['a broadcast']?.send()
  await block()
  await database.db.exec('leave', `update subscribers set state = 'cleaned' where phone = $1`, [other])
  expect(await mark()).toEqual([])
  const reasons = () =>
    database.db.many('reasons', 'select reason from message_log where message_id = $1 order by phone', [messageId])
  expect(await reasons()).toEqual([{ reason: 'stopped' }, { reason: 'not_subscribed' }])
})
