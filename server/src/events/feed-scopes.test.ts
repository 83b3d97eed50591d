import { beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, type ApiResponse, basic, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'
import { numberEvents } from './sequence.ts'

// Who reads the feed and who may switch it. `owner` is an operator, and has no more rights here than others.

const api = useApi()
const scopes = ['full', 'read', 'send'] as const
const feedOn = { event_feed: { enabled: true } }

const keyOf = async (caller: ApiCaller, given: { scope?: string; disabled?: boolean } = {}) =>
  withKey((await make.apiKey(api.db, { accountId: caller.accountId, ...given })).key)

const withKey = (key: string) => ({ headers: { authorization: basic(key) } })

/** Subscribes a number to a new list of the account, which is one event. */
async function subscribe(caller: ApiCaller, phone: string) {
  const list = await make.list(api.db, { accountId: caller.accountId, shortCodeId: caller.shortCode.id })
  const subscriber = { phone_number: phone, bypass_opt_in_process: true, bypass_opt_in_response: true }
  await caller.post(`/lists/${list.id}/subscribers`, { subscriber })
}

async function number() {
  // as the commit of a real transaction
  await api.db.exec('fire_triggers', 'set constraints all immediate')
  await api.db.exec('defer_triggers', 'set constraints all deferred')
  await numberEvents(api.db, async () => {})
}

const phonesOf = ({ body }: ApiResponse) =>
  (body.events as { event: { phone_number: string } }[]).map(({ event }) => event.phone_number)

const [ofOwner, ofStranger] = ['2065550210', '2065550211'] as const

beforeEach(async () => {
  for (const caller of [api.owner, api.stranger]) await caller.put('/event_feed', feedOn)
  await subscribe(api.owner, ofOwner)
  await subscribe(api.stranger, ofStranger)
  await number()
})

test.each(scopes)('a key of scope %s reads the events of its account, and waits for them', async (scope) => {
  for (const [caller, phone] of [
    [api.owner, ofOwner],
    [api.stranger, ofStranger],
  ] as const) {
    const key = await keyOf(caller, { scope })
    const page = await caller.get('/events', key)
    expect([page.status, phonesOf(page)]).toEqual([200, [phone]])
    expect((await caller.get('/event_feed', key)).body).toMatchObject({ event_feed: { enabled: true } })
    const { next_after } = page.body
    const waiting = caller.get(`/events?after=${next_after}&wait=30`, key)
    await waitFor(async () => (await caller.get(`/events?after=${next_after}`, key)).status === 200)
    await subscribe(caller, '2065550212')
    await number()
    expect(phonesOf(await waiting)).toEqual(['2065550212'])
  }
})

test.each(['read', 'send'])('a key of scope %s cannot switch the feed', async (scope) => {
  const key = await keyOf(api.owner, { scope })
  for (const enabled of [false, true, 'x']) {
    const response = await api.owner.put('/event_feed', { event_feed: { enabled } }, key)
    expect(response).toMatchObject({ status: 403, body: { status: 'error', code: 'scope_too_narrow' } })
  }
  expect((await api.owner.get('/event_feed')).body).toMatchObject({ event_feed: { enabled: true } })
  const off = await api.owner.put('/event_feed', { event_feed: { enabled: false } }, await keyOf(api.owner))
  expect(off).toMatchObject({ status: 200, body: { event_feed: { enabled: false } } })
  // that of others is as it was
  expect((await api.stranger.get('/event_feed')).body).toMatchObject({ event_feed: { enabled: true } })
})

test('a disabled key gets a 403, and an unknown or a revoked one, or none, a 401', async () => {
  const { id, key: revoked } = await make.apiKey(api.db, { accountId: api.owner.accountId })
  expect((await api.owner.get('/events', withKey(revoked))).status).toBe(200)
  await api.owner.delete(`/api_keys/${id}`)
  const disabled = await keyOf(api.owner, { disabled: true })
  for (const [key, status] of [
    [disabled, 403],
    [withKey(revoked), 401],
    [withKey(`${api.owner.key}x`), 401],
    [{ headers: { authorization: '' } }, 401],
  ] as const) {
    for (const path of ['/events', '/events?after=0&wait=30', '/event_feed']) {
      const { status: found, text } = await api.owner.get(path, key)
      expect([found, text.includes(ofOwner)]).toEqual([status, false])
    }
    expect((await api.owner.put('/event_feed', { event_feed: { enabled: false } }, key)).status).toBe(status)
  }
  expect((await api.owner.get('/event_feed')).body).toMatchObject({ event_feed: { enabled: true } })
})

describe('events of another account are never read,', () => {
  test.each([
    '',
    '?after=0',
    '?limit=1',
    '?types=subscribe',
    '?after=0&limit=1000&wait=1',
    '?types=unsubscribe,subscribe',
  ])('with %j', async (query) => {
    for (const [caller, phone] of [
      [api.owner, ofOwner],
      [api.stranger, ofStranger],
    ] as const) {
      for (const scope of scopes) {
        const page = await caller.get(`/events${query}`, await keyOf(caller, { scope }))
        expect([page.status, phonesOf(page)]).toEqual([200, [phone]])
      }
    }
  })

  test('also by a request that waits, which they do not end', async () => {
    const { next_after } = (await api.stranger.get('/events')).body
    const waiting = api.stranger.get(`/events?after=${next_after}&wait=2`)
    await waitFor(async () => (await api.stranger.get(`/events?after=${next_after}`)).status === 200)
    await subscribe(api.owner, '2065550212')
    await number()
    const page = await waiting
    expect([page.status, phonesOf(page)]).toEqual([200, []])
    expect(page.body.next_after).toBeGreaterThan(next_after as number)
  })
})
