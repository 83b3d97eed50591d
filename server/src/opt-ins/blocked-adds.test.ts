import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { findShortCodeLists } from '../inbound/destinations.queries.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { markSubmitting } from '../log/marks.queries.ts'
import { blockNumbers } from '../short-codes/short-codes.queries.ts'
import { optOutOfShortCode } from './opt-out.ts'

// Adds of numbers that sent STOP to the short code of the list. docs/consent.md states the rule.

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

let listId: number
let otherListId: number
beforeEach(async () => {
  clock.time = start
  const given = { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id }
  listId = (await make.list(api.db, given)).id
  otherListId = (await make.list(api.db, given)).id
})
afterEach(() => {
  clock.time = start
})

const phone = 2_065_550_143
const both = { bypass_opt_in_process: true, bypass_opt_in_response: true }
const silent = 'Subscriber has been added - no opt-in message was sent due to list settings.'
const pending = 'Subscriber being added to campaign pending confirmation'
const hours = (n: number) => {
  clock.time = new Date(clock.time.getTime() + n * 3_600_000)
}

async function stop(at = clock.time) {
  await api.db.tx(async (tx) => {
    const code = await findShortCodeLists(tx, api.owner.shortCode.code)
    if (!code) throw new Error('no short code')
    const senders = [{ phone, wording: 'STOP', actor: 'mo:1' }]
    await optOutOfShortCode(tx, code, { senders, method: 'stop', at })
  })
}

const add = (id: number, flags: object = {}) =>
  api.owner.post(`/lists/${id}/subscribers`, { subscriber: { phone_number: phone, ...flags } })
const stateOn = async (id: number) =>
  (
    await api.db.maybeOne<{ state: string }>(
      'state',
      'select state from subscribers where list_id = $1 and phone = $2',
      [id, phone],
    )
  )?.state
const isBlocked = async () => (await api.db.many('blocks', 'select from blocks where phone = $1', [phone])).length > 0
const ledger = () =>
  api.db.many<{ kind: string; list_id: number | null; short_code_id: number | null; method: string }>(
    'ledger',
    'select kind, list_id, short_code_id, method from opts where phone = $1 order by id',
    [phone],
  )
const countTexts = async () => (await api.db.many('texts', 'select from message_log where phone = $1', [phone])).length

/** Marks all queued texts, as a gateway does; returns the phones to which they would be sent. */
async function submitted(): Promise<number[]> {
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: clock.time, fromLane: 0, toLane: 9, limit: 9 }
  const phones = []
  for (const chunk of await claimChunks(api.db, claim)) {
    const queued = await listQueued(api.db, chunk)
    const ids = await markSubmitting(api.db, chunk, queued, clock.time)
    phones.push(...queued.filter(({ id }) => ids.includes(id)).map((one) => one.phone))
  }
  return phones
}

describe('within the wait', () => {
  test.each([
    ['without flags', {}],
    ['with the flag of the request', { bypass_opt_in_process: true }],
    ['with the flag of the welcome', { bypass_opt_in_response: true }],
    ['with both flags', both],
  ])('an add %s changes nothing, on any list of the short code', async (_case, flags) => {
    await make.subscriber(api.db, { listId, phone, at: start })
    await stop()
    hours(47)
    for (const id of [listId, otherListId]) {
      expect(await add(id, flags)).toMatchObject({
        status: 201,
        body: {
          status: 'Subscriber cannot be added: security timeout, wait 1 hours and 0 minutes',
          subscriber: {
            phone_number: String(phone),
            optin_in_progress: false,
            opted_out_at: '2026-03-02T02:00:00-08:00',
          },
        },
      })
    }
    expect(await stateOn(listId)).toBe('unsubscribed')
    expect(await stateOn(otherListId)).toBeUndefined()
    expect(await isBlocked()).toBe(true)
    expect(await countTexts()).toBe(0)
  })

  test('the longest wait of the lists of the short code applies, also that of a deleted list', async () => {
    await stop()
    await api.owner.put(`/lists/${listId}`, { list: { resubscribe_timeout_hours: 0 } })
    await api.owner.put(`/lists/${otherListId}`, { list: { resubscribe_timeout_hours: 100 } })
    await api.owner.delete(`/lists/${otherListId}`)
    hours(99)
    expect((await add(listId, both)).body.status).toMatch(/wait 1 hours and 0 minutes$/)
    hours(1)
    expect((await add(listId, both)).body.status).toBe(silent)
  })

  test('a number that is subscribed, because its list moved to the short code, stays blocked', async () => {
    await stop()
    await make.subscriber(api.db, { listId, phone })
    expect((await add(listId, both)).body.status).toMatch(/security timeout/)
    expect(await isBlocked()).toBe(true)
  })

  test('a further STOP starts the wait again, and one that came late does not shorten it', async () => {
    await stop()
    hours(40)
    await stop()
    await stop(start)
    hours(47)
    expect((await add(listId, both)).body.status).toMatch(/wait 1 hours and 0 minutes$/)
  })

  test('of a STOP to another short code, the number is added', async () => {
    await stop()
    const elsewhere = await make.list(api.db, { accountId: api.owner.accountId })
    expect((await add(elsewhere.id, both)).body.status).toBe(silent)
    expect(await isBlocked()).toBe(true)
  })
})

describe('after the wait', () => {
  beforeEach(async () => {
    await stop()
    hours(48)
  })

  test('an add with both flags lifts the block, with the ledger', async () => {
    expect((await add(listId, both)).body.status).toBe(silent)
    expect(await isBlocked()).toBe(false)
    const shortCodeId = api.owner.shortCode.id
    expect(await ledger()).toEqual([
      { kind: 'opt_out', list_id: null, short_code_id: shortCodeId, method: 'stop' },
      { kind: 'opt_in', list_id: listId, short_code_id: null, method: 'api' },
      { kind: 'block_lifted', list_id: null, short_code_id: shortCodeId, method: 'api' },
    ])
  })

  test('an add with both flags also lifts it for a number that is subscribed', async () => {
    await make.subscriber(api.db, { listId, phone })
    expect((await add(listId, both)).body.status).toBe(silent)
    expect(await isBlocked()).toBe(false)
    const { body } = await api.owner.get(`/lists/${listId}`)
    expect(body.list).toMatchObject({ counts: { subscribers: 1, unsubscribed: 0, cleaned: 0 } })
  })

  test.each([
    ['no flags', {}],
    ['the flag of the request', { bypass_opt_in_process: true }],
    ['the flag of the welcome', { bypass_opt_in_response: true }],
  ])('an add with %s makes the number pending, sends no text, and the block remains', async (_case, flags) => {
    const before = await ledger()
    for (let n = 0; n < 2; n++) {
      const { status, body } = await add(listId, { first_name: `Ana ${n}`, ...flags })
      expect(status).toBe(201)
      expect(body).toMatchObject({ status: pending, subscriber: { first_name: `Ana ${n}`, optin_in_progress: true } })
    }
    expect(await stateOn(listId)).toBe('pending')
    expect(await isBlocked()).toBe(true)
    expect(await countTexts()).toBe(0)
    // the number has not been asked
    expect(await ledger()).toEqual(before)
  })

  test('an add without flags asks a number that has lifted its block meanwhile', async () => {
    await add(listId)
    await add(otherListId, both)
    expect((await add(listId)).body.status).toBe(pending)
    expect(await submitted()).toEqual([phone])
    expect((await add(listId)).body.status).toMatch(/^Subscriber has already been sent/)
  })

  test('an add with one flag changes nothing for a number that is subscribed and blocked', async () => {
    await make.subscriber(api.db, { listId, phone })
    const { status, body } = await add(listId, { bypass_opt_in_process: true })
    expect({ status, text: body.status }).toEqual({
      status: 200,
      text: 'Subscriber is already subscribed to this campaign.',
    })
    expect(await isBlocked()).toBe(true)
    expect(await countTexts()).toBe(0)
  })

  test('a STOP takes a pending number off its list, and the wait starts again', async () => {
    await add(listId)
    hours(1)
    await stop()
    expect(await stateOn(listId)).toBe('unsubscribed')
    expect((await add(otherListId, both)).body.status).toMatch(/security timeout/)
  })
})

describe('the opt-in request of a number that is not blocked', () => {
  beforeEach(async () => {
    expect((await add(listId)).body.status).toBe(pending)
    expect(await countTexts()).toBe(1)
  })

  test('is stopped by a STOP', async () => {
    await stop()
    expect(await submitted()).toEqual([])
    expect(await stateOn(listId)).toBe('unsubscribed')
  })

  test('is suppressed by its mark if the STOP did not see it', async () => {
    await blockNumbers(api.db, api.owner.shortCode.id, [phone], clock.time)
    expect(await submitted()).toEqual([])
    const row = await api.db.one('reason', 'select state, reason from message_log where phone = $1', [phone])
    expect(row).toEqual({ state: 'suppressed', reason: 'stopped' })
  })
})
