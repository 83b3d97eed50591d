import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { basic, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { makeSealer } from '../connections/secrets.ts'
import { findCallbackSecrets } from './callback-secrets.queries.ts'
import { findSecrets } from './delivery/endpoints.queries.ts'
import { openSecrets } from './delivery/secrets.ts'
import { formatSecret } from './delivery/signature.ts'

const start = new Date('2026-03-02T10:00:00Z')
const clock = { time: start, now: () => clock.time }
const api = useApi({ clock })

let path: string
let webhookId: number

beforeEach(async () => {
  const { accountId, shortCode } = api.owner
  const list = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
  const { body } = await api.owner.post(`/lists/${list.id}/webhooks`, {
    webhook: { callback_url: 'https://a.example' },
  })
  webhookId = (body.webhook as { id: number }).id
  path = `/lists/${list.id}/webhooks/${webhookId}/secret`
})
afterEach(() => {
  clock.time = start
})

type Secret = { secret: string; previous_valid_until: string | null }

const read = async () => (await api.owner.get(path)).body.webhook_secret as Secret
const rotate = (webhook_secret: object = {}) => api.owner.put(path, { webhook_secret })

/** The secrets with which a delivery is signed now. */
async function signing() {
  const sealer = makeSealer(api.rt.config)
  return sealer ? openSecrets(sealer, await findSecrets(api.db, webhookId), clock.time) : []
}

test('a webhook has a secret from the beginning, which is stored sealed', async () => {
  const { secret, previous_valid_until } = await read()
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
  expect(previous_valid_until).toBeNull()
  expect(await signing()).toEqual([secret])
  const stored = await findSecrets(api.db, webhookId)
  expect(stored.secret?.toString('latin1')).not.toContain(secret.slice(6))
})

test('after a rotation both secrets sign, until the time of the former one is over', async () => {
  const { secret: former } = await read()
  const { body } = await rotate({ previous_valid_hours: 2 })
  const { secret, previous_valid_until } = body.webhook_secret as Secret
  expect(secret).not.toBe(former)
  expect(previous_valid_until).toBe('2026-03-02T04:00:00-08:00')
  expect(await signing()).toEqual([secret, former])
  clock.time = new Date(start.getTime() + 2 * 3_600_000)
  expect(await signing()).toEqual([secret])
  expect(await read()).toEqual({ secret, previous_valid_until: null })
})

test('a given secret replaces the former one, at once with 0 hours', async () => {
  const given = formatSecret(Buffer.alloc(24, 7))
  await rotate({ secret: given, previous_valid_hours: 0 })
  expect(await signing()).toEqual([given])
})

describe('rejects, without a change', () => {
  test.each([
    [{ secret: 'whsec_short' }, 422],
    [{ secret: formatSecret(Buffer.alloc(65)) }, 422],
    [{ secret: formatSecret(Buffer.alloc(23)) }, 422],
    [{ secret: `whsec_${'A'.repeat(3_000)}` }, 422],
    [{ secret: `${formatSecret(Buffer.alloc(32))}\n` }, 422],
    [{ secret: formatSecret(Buffer.alloc(32)).replace('A', '-') }, 422],
    [{ secret: Buffer.alloc(32).toString('base64') }, 422],
    [{ secret: '' }, 422],
    [{ secret: null }, 422],
    [{ secret: 7 }, 422],
    [{ previous_valid_hours: -1 }, 422],
    [{ previous_valid_hours: 169 }, 422],
  ])('%j', async (given, status) => {
    const before = await read()
    expect((await rotate(given)).status).toBe(status)
    expect(await read()).toEqual(before)
  })

  test.each(['read', 'send'])('keys of scope %s', async (scope) => {
    const { key } = await make.apiKey(api.db, { accountId: api.owner.accountId, scope })
    const headers = { authorization: basic(key) }
    expect((await api.owner.get(path, { headers })).status).toBe(403)
    expect((await api.owner.put(path, { webhook_secret: {} }, { headers })).status).toBe(403)
  })

  test('another account', async () => {
    expect((await api.stranger.get(path)).status).toBe(404)
    expect((await api.stranger.put(path, { webhook_secret: {} })).status).toBe(404)
  })
})

describe('the secret of callbacks', () => {
  const readIt = async () => (await api.owner.get('/callback_secret')).body.callback_secret as Secret
  const replace = (callback_secret: object) => api.owner.put('/callback_secret', { callback_secret })

  test('is null until it is set, is stored sealed, and is replaced like that of a webhook', async () => {
    expect(await readIt()).toEqual({ secret: null, previous_valid_until: null })
    const given = formatSecret(Buffer.alloc(24, 7))
    expect((await replace({ secret: given })).body.callback_secret).toEqual({
      secret: given,
      previous_valid_until: null,
    })
    const { accountId } = api.owner
    const stored = await findCallbackSecrets(api.db, accountId)
    expect(stored?.secret?.toString('latin1')).not.toContain(given.slice(6))
    const { secret, previous_valid_until } = (await replace({ previous_valid_hours: 2 })).body.callback_secret as Secret
    expect(secret).not.toBe(given)
    expect(previous_valid_until).toBe('2026-03-02T04:00:00-08:00')
    const sealer = makeSealer(api.rt.config)
    const both = await findCallbackSecrets(api.db, accountId)
    expect(sealer && both && openSecrets(sealer, both, clock.time)).toEqual([secret, given])
    clock.time = new Date(start.getTime() + 2 * 3_600_000)
    expect(await readIt()).toEqual({ secret, previous_valid_until: null })
  })

  test('is not that of another account, and only keys of full scope reach it', async () => {
    await replace({})
    expect((await api.stranger.get('/callback_secret')).body.callback_secret).toMatchObject({ secret: null })
    const { key } = await make.apiKey(api.db, { accountId: api.owner.accountId, scope: 'read' })
    expect((await api.owner.get('/callback_secret', { headers: { authorization: basic(key) } })).status).toBe(403)
  })

  test.each([[{ secret: 'whsec_short' }], [{ secret: 7 }], [{ previous_valid_hours: 169 }]])(
    'rejects %j',
    async (given) => {
      await replace({})
      const before = await readIt()
      expect((await replace(given)).status).toBe(422)
      expect(await readIt()).toEqual(before)
    },
  )
})
