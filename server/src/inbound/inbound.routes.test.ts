import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { findAlarms } from '../connections/alarms.ts'
import { deleteInboundJob, reopenOptOuts } from './inbound.jobs.ts'
import { interpretInbound, storeInbound } from './inbound.ts'

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
    { ...row, problem: 'destination', ...byDestination, esm_class: 3, kind: null, applied_at: null },
    { ...row, problem: 'sender', ...bySender, esm_class: 0, kind: 'opt_out', applied_at: null },
  ])
  expect((await list('?per_page=1&page=2')).body.unmatched_mos).toMatchObject([{ problem: 'sender' }])
})

test('unmatched MOs of an unknown connection are not found', async () => {
  expect(await api.owner.get('/connections/32767/unmatched_mos')).toMatchObject({ status: 404 })
})

const rt = () => makeRuntime({ db: api.db })
const interpretAll = async () => {
  while (await interpretInbound(rt()));
}
const blocked = () =>
  api.db.many(
    'blocked',
    'select b.phone, s.code from blocks b join short_codes s on s.id = b.short_code_id order by 1, 2',
  )
const confirmations = () => api.db.many('confirmations', `select from messages where kind = 'system'`)
const apply = (connectionId: number, id: number, body: object = {}) =>
  api.owner.post(`/connections/${connectionId}/unmatched_mos/${id}/apply`, body)

/** Creates a connection through which no short code sends. */
async function idleConnection() {
  const { id } = await make.connection(api.db)
  await api.db.exec('serve_none', 'update connections set serves_all = false where id = $1', [id])
  return id
}

const route = (connectionId: number) =>
  api.db.exec('route', 'insert into short_code_routes (short_code_id, connection_id) values ($1, $2)', [
    api.owner.shortCode.id,
    connectionId,
  ])

async function receiveStop(connectionId: number, fields: object = {}) {
  const defaults = { connectionId, shortCode: '155123', phone: 2_065_560_001, content: 'STOP' }
  const stored = await storeInbound(api.db, {
    ...defaults,
    raw: Buffer.from('STOP'),
    dataCoding: 0,
    receivedAt: new Date(),
    ...fields,
  })
  await interpretAll()
  return stored.id
}

test('a STOP to an unknown destination without a sender waits, and is applied to a short code with that number', async () => {
  const connectionId = await idleConnection()
  await receiveStop(connectionId)
  const list = async () => (await api.owner.get(`/connections/${connectionId}/unmatched_mos`)).body.unmatched_mos
  expect(await list()).toMatchObject([{ problem: 'destination', kind: 'opt_out', applied_at: null }])
  expect(await findAlarms(api.db, [connectionId], new Date())).toMatchObject([
    { name: 'mos_unmatched' },
    { name: 'opt_outs_unapplied' },
  ])
  await reopenOptOuts(api.db)
  await interpretAll()
  expect(await blocked()).toEqual([])
  await make.shortCode(api.db, { accountId: api.owner.accountId, code: '155123' })
  await reopenOptOuts(api.db)
  await interpretAll()
  expect(await blocked()).toEqual([{ phone: 2_065_560_001, code: '155123' }])
  expect(await list()).toMatchObject([{ applied_at: expect.any(String) }])
  expect(await findAlarms(api.db, [connectionId], new Date())).toMatchObject([{ name: 'mos_unmatched' }])
  // once
  await reopenOptOuts(api.db)
  await interpretAll()
  expect(await confirmations()).toHaveLength(1)
})

test('an operator applies a waiting STOP to the senders of its connection', async () => {
  const connectionId = await idleConnection()
  const id = await receiveStop(connectionId)
  expect(await apply(connectionId, id)).toMatchObject({ status: 422, body: { code: 'mo_not_applicable' } })
  await route(connectionId)
  expect(await apply(connectionId, id)).toMatchObject({ status: 200, body: { unmatched_mo: { id } } })
  await interpretAll()
  expect(await blocked()).toEqual([{ phone: 2_065_560_001, code: api.owner.shortCode.code }])
  expect(await apply(connectionId, id)).toMatchObject({ status: 422, body: { code: 'mo_not_applicable' } })
})

test('an operator applies the STOP of an unreadable sender with its number', async () => {
  const { id: connectionId } = await make.connection(api.db)
  const shortCode = api.owner.shortCode.code
  const id = await receiveStop(connectionId, { phone: null, sourceAddress: 'x', kind: 'opt_out', shortCode })
  expect(await findAlarms(api.db, [connectionId], new Date())).toMatchObject([
    { name: 'mos_unmatched' },
    { name: 'opt_outs_unapplied' },
  ])
  expect(await apply(connectionId, id)).toMatchObject({ status: 422, body: { code: 'invalid' } })
  expect(await apply(connectionId, id, { phone_number: '12' })).toMatchObject({
    status: 422,
    body: { code: 'invalid' },
  })
  await interpretAll()
  expect(await blocked()).toEqual([])
  expect(await apply(connectionId, id, { phone_number: '(206) 556-0002' })).toMatchObject({ status: 200 })
  await interpretAll()
  expect(await blocked()).toEqual([{ phone: 2_065_560_002, code: shortCode }])
})

test('a redelivered STOP of an unreadable sender stays one row that waits for an operator', async () => {
  const { id: connectionId } = await make.connection(api.db)
  const stop = { phone: null, sourceAddress: 'x', kind: 'opt_out', deliveryKey: Buffer.from('k') }
  expect(await receiveStop(connectionId, stop)).toBe(await receiveStop(connectionId, stop))
  const rows = 'select redeliveries, phone, interpreted_at is null as waits from inbound_messages'
  expect(await api.db.many('rows', rows)).toEqual([{ redeliveries: 1, phone: null, waits: false }])
})

test('only opt-outs can be applied, and only those of the connection', async () => {
  const [connectionId, other] = [await idleConnection(), await idleConnection()]
  const text = await receiveStop(connectionId, { content: 'Hello' })
  expect(await apply(connectionId, text)).toMatchObject({ status: 422, body: { code: 'mo_not_applicable' } })
  const stop = await receiveStop(connectionId)
  expect(await apply(other, stop)).toMatchObject({ status: 404, body: { code: 'unmatched_mo_not_found' } })
  expect(await apply(32_767, stop)).toMatchObject({ status: 404, body: { code: 'connection_not_found' } })
})

test.each([
  ['within an hour is confirmed', 59, 1],
  ['more than an hour late is not confirmed', 61, 0],
])('a STOP that is applied %s', async (_case, minutes, confirmed) => {
  const connectionId = await idleConnection()
  const id = await receiveStop(connectionId, { receivedAt: new Date(Date.now() - minutes * 60_000) })
  await route(connectionId)
  await apply(connectionId, id)
  await interpretAll()
  expect(await blocked()).toHaveLength(1)
  expect(await confirmations()).toHaveLength(confirmed)
})

test('MOs are deleted 90 days after they were interpreted, except opt-outs that are not applied', async () => {
  const { id: connectionId } = await make.connection(api.db)
  const days = (n: number) => new Date(Date.now() - n * 86_400_000)
  const store = (content: string, interpretedAt: Date | null, kind: string | null, optedOutAt: Date | null = null) =>
    api.db.exec(
      'store',
      `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at,
                                     interpreted_at, kind, opted_out_at)
       values ($1, '155123', 2065560001, $2, '', 0, now() - interval '100 days', $3, $4, $5)`,
      [connectionId, content, interpretedAt, kind, optedOutAt],
    )
  await store('old text', days(91), 'other')
  await store('old STOP', days(91), 'opt_out', days(91))
  await store('old HELP', days(91), 'help')
  await store('unapplied STOP', days(91), 'opt_out')
  await store('waiting', null, null)
  await store('late STOP', days(1), 'opt_out', days(1))
  await store('text', days(89), 'other')
  await deleteInboundJob.run(rt(), {}, new AbortController().signal)
  const left = await api.db.many<{ content: string }>('left', 'select content from inbound_messages order by id')
  expect(left.map(({ content }) => content)).toEqual(['unapplied STOP', 'waiting', 'late STOP', 'text'])
})
