import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { storeInbound } from './inbound.ts'

const api = useApi()

test('unmatched MOs of a connection are listed newest first, in pages', async () => {
  const connectionId = (await make.connection(api.db)).id
  const receivedAt = new Date('2026-03-01T10:00:00Z')
  const store = (fields: object) => {
    const defaults = { connectionId, shortCode: api.owner.shortCode.code, phone: 2_065_560_001, content: 'STOP' }
    return storeInbound(api.db, { ...defaults, raw: Buffer.from('STOP'), dataCoding: 0, receivedAt, ...fields })
  }
  await store({ phone: null, sourceAddress: 'CEDAR' })
  await store({})
  await store({ shortCode: '155123', sourceAddress: '12065560001', content: 'Thanks', esmClass: 3 })
  await store({ phone: null, connectionId: (await make.connection(api.db)).id })
  const list = (query = '') => api.owner.get(`/connections/${connectionId}/unmatched_mos${query}`)
  const response = await list()
  expect(response).toMatchObject({ status: 200, body: { status: 'OK', count: 2 } })
  const row = { id: expect.any(Number), data_coding: 0, received_at: '2026-03-01T02:00:00-08:00' }
  const bySender = { source_address: 'CEDAR', destination_address: api.owner.shortCode.code, content: 'STOP' }
  const byDestination = { source_address: '12065560001', destination_address: '155123', content: 'Thanks' }
  expect(response.body.unmatched_mos).toEqual([
    { ...row, problem: 'destination', ...byDestination, esm_class: 3, kind: null },
    { ...row, problem: 'sender', ...bySender, esm_class: 0, kind: 'other' },
  ])
  expect((await list('?per_page=1&page=2')).body.unmatched_mos).toMatchObject([{ problem: 'sender' }])
})

test('unmatched MOs of an unknown connection are not found', async () => {
  expect(await api.owner.get('/connections/32767/unmatched_mos')).toMatchObject({ status: 404 })
})
