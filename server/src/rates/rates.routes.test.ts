import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'

const api = useApi({ clock: { now: () => new Date('2031-05-06T12:00:00Z') } })
const set = (rate: object) => api.owner.post('/rates', { rate })
const rates = async () => (await api.owner.get('/rates')).body.rates as { id: number }[]

test('an operator sets, corrects, lists and removes rates', async () => {
  expect(await set({ price: 0.0079 })).toMatchObject({
    status: 201,
    body: {
      status: 'Rate set',
      rate: { account_id: null, channel: 'sms', carrier: null, price: 0.0079, since: '2031-05-06', source: '' },
    },
  })
  await set({ price: '0.0080', source: 'the invoice' })
  const { accountId } = api.stranger
  await set({ price: '0.004', carrier: 383, account_id: accountId, channel: 'mms', since: '2031-06-01' })
  const listed = await rates()
  expect(listed).toMatchObject([
    { price: 0.008, source: 'the invoice' },
    { price: 0.004, carrier: 383, carrier_name: 'AT&T', account_id: accountId, channel: 'mms', since: '2031-06-01' },
  ])
  const path = `/rates/${listed[0]?.id}`
  expect(await api.owner.delete(path)).toMatchObject({ status: 200, body: { status: 'Rate removed' } })
  expect((await api.owner.delete(path)).status).toBe(404)
  expect(await rates()).toHaveLength(1)
})

test.each([
  [{}],
  [{ price: -1 }],
  [{ price: '0.0000001' }],
  [{ price: '1e3' }],
  [{ price: 1, carrier: 99_999 }],
  [{ price: 1, since: '2031-02-30' }],
  [{ price: 1, channel: 'rcs' }],
  [{ price: 1, account_id: 999_999_999 }],
  [{ price: 1, prize: 2 }],
])('rejects %j', async (rate) => {
  expect((await set(rate)).status).toBe(422)
  expect(await rates()).toEqual([])
})

test('other accounts get a 404', async () => {
  await set({ price: 1 })
  expect((await api.stranger.get('/rates')).status).toBe(404)
  expect((await api.stranger.post('/rates', { rate: { price: 1 } })).status).toBe(404)
  expect((await api.stranger.delete(`/rates/${(await rates())[0]?.id}`)).status).toBe(404)
})
