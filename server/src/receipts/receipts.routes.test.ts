import { beforeEach, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { deleteReceiptsJob } from './receipts.jobs.ts'
import { insertWaitingReceipts, type WaitingReceipt } from './waiting.queries.ts'

const api = useApi()
let connectionId: number

beforeEach(async () => {
  connectionId = (await make.connection(api.db)).id
})

/** Stores a receipt that has ended with this outcome. */
const store = async (fields: Partial<WaitingReceipt>, outcome = 'orphan') => {
  const status = { state: 'delivered' as const, reason: null, carrierStatus: 'DELIVRD 000' }
  const defaults = {
    connectionId,
    phone: 2_065_560_001,
    shortCode: '88222',
    reference: null,
    submitDate: null,
    excerpt: null,
  }
  const receivedAt = new Date('2026-03-01T10:00:00Z')
  await insertWaitingReceipts(api.db, [{ smscId: 'a1', ...status, ...defaults, receivedAt, ...fields }])
  await api.db.exec(
    'end',
    `update receipts set outcome = $1, ended_at = now() where id = (select max(id) from receipts)`,
    [outcome],
  )
}

const list = (query = '') => api.owner.get(`/connections/${connectionId}/orphan_receipts${query}`)

test('orphans of a connection are listed newest first, in pages', async () => {
  await store({ reference: 77, submitDate: '2603010959' })
  await store({ smscId: '', phone: null, state: 'bounced', reason: 'blocked', carrierStatus: 'REJECTD' })
  await store({ smscId: 'a3' }, 'waiting')
  await store({ smscId: 'a4' }, 'settled')
  await store({ connectionId: (await make.connection(api.db)).id })
  const response = await list()
  expect(response).toMatchObject({ status: 200, body: { status: 'OK', count: 2, page: 1, pages_count: 1 } })
  expect(response.body.orphan_receipts).toEqual([
    {
      id: expect.any(Number),
      message_id: '',
      phone_number: null,
      shortcode: '88222',
      meaning: 'blocked',
      carrier_status: 'REJECTD',
      user_message_reference: null,
      submit_date: null,
      excerpt: null,
      received_at: '2026-03-01T02:00:00-08:00',
    },
    {
      id: expect.any(Number),
      message_id: 'a1',
      phone_number: '2065560001',
      shortcode: '88222',
      meaning: 'delivered',
      carrier_status: 'DELIVRD 000',
      user_message_reference: 77,
      submit_date: '2603010959',
      excerpt: null,
      received_at: '2026-03-01T02:00:00-08:00',
    },
  ])
  expect((await list('?per_page=1&page=2')).body.orphan_receipts).toMatchObject([{ message_id: 'a1' }])
  expect((await list('?page=9')).body).toMatchObject({ count: 2, orphan_receipts: [] })
})

test('the response is 404 if the connection does not exist, or the account is not an operator', async () => {
  await store({})
  expect(await api.owner.get('/connections/32767/orphan_receipts')).toMatchObject({ status: 404 })
  await api.db.exec('demote', 'update accounts set is_operator = false where id = $1', [api.owner.accountId])
  expect(await list()).toMatchObject({ status: 404 })
})

test('receipts are deleted 30 days after their wait has ended, but not while they wait', async () => {
  await store({ smscId: 'old' })
  await store({ smscId: 'older' }, 'applied')
  await store({ smscId: 'waiting' }, 'waiting')
  await api.db.exec('age', `update receipts set ended_at = now() - interval '31 days'`)
  await store({ smscId: 'recent' })
  await deleteReceiptsJob.run(api.rt, {}, new AbortController().signal)
  const remaining = await api.db.many('remaining', 'select smsc_id as id from receipts order by id')
  expect(remaining).toEqual([{ id: 'recent' }, { id: 'waiting' }])
})
