import { expect, test } from 'vitest'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import { getList } from '../lists/lists.ts'
import { findSubscriberForUpdate } from '../subscribers/subscribers.queries.ts'
import { optOut } from './opt-out.ts'
import { addSubscriber } from './subscribe.ts'

// Concurrent adds and opt-outs of one number.

const start = new Date('2026-03-02T10:00:00Z')
const clock = { now: () => start }
const phone = 2_065_550_143

async function countTexts(db: Db, listId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_texts',
    `select count(*) as n from messages m join message_log g on g.message_id = m.id
      where m.list_id = $1 and m.kind = 'system'`,
    [listId],
  )
  return n
}

async function kindsInLedger(db: Db, listId: number): Promise<string[]> {
  const rows = await db.many<{ kind: string }>('kinds', 'select kind from opts where list_id = $1 order by id', [
    listId,
  ])
  return rows.map(({ kind }) => kind)
}

async function setUp() {
  const fresh = await freshDatabase()
  const rt = makeRuntime({ db: fresh.db, url: fresh.url, clock })
  const made = await make.list(fresh.db)
  const list = await getList(fresh.db, made.accountId, made.id)
  const input = { list, phone, profile: {}, bypassResponse: false, actor: 'key:1' }
  const state = async () =>
    (await fresh.db.one<{ state: string }>('state', 'select state from subscribers where list_id = $1', [list.id]))
      .state
  return { fresh, rt, list, input, state }
}

test('many adds of one number create one row and one text', async () => {
  const { fresh, rt, list, input } = await setUp()
  try {
    const adds = Array.from({ length: 8 }, () => addSubscriber(rt, { ...input, bypassProcess: false }))
    const outcomes = (await Promise.all(adds)).map(({ outcome }) => outcome).sort()
    expect(outcomes).toEqual([...Array(7).fill('already_asked'), 'confirmation_sent'])
    expect(await countTexts(fresh.db, list.id)).toBe(1)
    expect(await kindsInLedger(fresh.db, list.id)).toEqual(['opt_in_requested'])
  } finally {
    await fresh.close()
  }
})

test('many adds of one number without texts subscribe it once, each new number with one statement', async () => {
  const { fresh, rt, list, input } = await setUp()
  try {
    const plain = { ...input, bypassProcess: true, bypassResponse: true }
    const adds = Array.from({ length: 8 }, () => addSubscriber(rt, plain))
    const added = await Promise.all(adds)
    const outcomes = added.map(({ outcome }) => outcome).sort()
    expect(outcomes).toEqual(['added', ...Array(7).fill('already_subscribed')])
    expect(new Set(added.map(({ subscriber }) => subscriber.state))).toEqual(new Set(['subscribed']))
    expect(await kindsInLedger(fresh.db, list.id)).toEqual(['opt_in'])

    const tx = () => Promise.reject(new Error('the add began a transaction'))
    const another = await addSubscriber({ ...rt, db: { ...rt.db, tx } }, { ...plain, phone: phone + 1 })
    expect(another.outcome).toBe('added')
  } finally {
    await fresh.close()
  }
})

test('an add that waits for an opt-out is rejected', async () => {
  const { fresh, rt, list, input, state } = await setUp()
  try {
    await make.subscriber(fresh.db, { listId: list.id, phone, state: 'pending', at: start })
    const locked = Promise.withResolvers<void>()
    const optingOut = fresh.db.tx(async (tx) => {
      await findSubscriberForUpdate(tx, list.id, phone)
      locked.resolve()
      await waitFor(() => hasLockWaiter(fresh.db))
      const out = { accountId: list.accountId, listId: list.id, phone, actor: 'key:1' }
      await optOut({ ...rt, db: tx }, { ...out, method: 'api' })
    })
    await locked.promise
    const added = await addSubscriber(rt, { ...input, bypassProcess: true })
    await optingOut
    expect(added.outcome).toBe('security_timeout')
    expect(await state()).toBe('unsubscribed')
  } finally {
    await fresh.close()
  }
})

test('an opt-out that waits for an add takes effect after it', async () => {
  const { fresh, rt, list, input, state } = await setUp()
  try {
    await addSubscriber(rt, { ...input, bypassProcess: false })
    const added = Promise.withResolvers<void>()
    const adding = fresh.db.tx(async (tx) => {
      await addSubscriber({ ...rt, db: tx }, { ...input, bypassProcess: true, bypassResponse: true })
      added.resolve()
      await waitFor(() => hasLockWaiter(fresh.db))
    })
    await added.promise
    const out = { accountId: list.accountId, listId: list.id, phone, actor: 'key:1' }
    expect(await optOut(rt, { ...out, method: 'api' })).toBe('opted_out')
    await adding
    expect(await state()).toBe('unsubscribed')
    expect(await kindsInLedger(fresh.db, list.id)).toEqual(['opt_in_requested', 'opt_in', 'opt_out'])
  } finally {
    await fresh.close()
  }
})

async function hasLockWaiter(db: Db): Promise<boolean> {
  const { n } = await db.one<{ n: number }>(
    'count_waiting',
    `select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return n > 0
}
