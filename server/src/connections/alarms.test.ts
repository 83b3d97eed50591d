import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { insertUnreadReceipts, insertWaitingReceipts } from '../receipts/waiting.queries.ts'
import { endAlarm, raiseAlarm } from './alarms.queries.ts'
import { findAlarms } from './alarms.ts'

const now = new Date('2026-03-02T12:00:00Z')
const api = useApi({ clock: { now: () => now } })
const hoursAgo = (hours: number) => new Date(now.getTime() - hours * 3_600_000)

/** Returns the names of a connection's alarms. */
async function alarmsOf(connectionId: number) {
  return (await findAlarms(api.db, [connectionId], now)).map(({ name }) => name)
}
const connection = async () => (await make.connection(api.db)).id

test('a connection without trouble has no alarms', async () => {
  const id = await connection()
  await make.connection(api.db)
  expect((await api.owner.get(`/connections/${id}`)).body.connection).toMatchObject({ alarms: [] })
})

test('a stored alarm keeps its beginning and gets its latest detail, and ends if it was not seen lately', async () => {
  const connectionId = await connection()
  const alarm = { connectionId, name: 'account_rejected' as const }
  await raiseAlarm(api.db, { ...alarm, detail: 'NOCRED' }, hoursAgo(2))
  await raiseAlarm(api.db, { ...alarm, detail: 'SYSERR' }, hoursAgo(1))
  await endAlarm(api.db, alarm, hoursAgo(1.5))
  const { body } = await api.owner.get('/connections')
  expect(body.connections).toMatchObject([
    { alarms: [{ name: 'account_rejected', since: '2026-03-02T02:00:00-08:00', detail: 'SYSERR' }] },
  ])
  const { body: metrics } = await api.app.inject({ url: '/metrics' })
  expect(metrics).toMatch(/^carillon_alarms\{connection="[^"]+",name="account_rejected"\} 1$/m)
  await endAlarm(api.db, alarm, hoursAgo(0.5))
  expect(await alarmsOf(connectionId)).toEqual([])
})

test('a disabled connection has no alarms', async () => {
  const connectionId = await connection()
  await raiseAlarm(api.db, { connectionId, name: 'account_rejected', detail: 'NOCRED' }, now)
  expect(await alarmsOf(connectionId)).toEqual(['account_rejected'])
  await api.db.exec('disable', 'update connections set enabled = false where id = $1', [connectionId])
  expect(await alarmsOf(connectionId)).toEqual([])
})

test('one receipt per text is proposed until the setting is changed, for a week at most', async () => {
  const connectionId = await connection()
  const propose = (hours: number) =>
    raiseAlarm(api.db, { connectionId, name: 'one_receipt_per_text', detail: 'x' }, hoursAgo(hours))
  await propose(7 * 24 + 1)
  expect(await alarmsOf(connectionId)).toEqual([])
  await propose(1)
  expect(await alarmsOf(connectionId)).toEqual(['one_receipt_per_text'])
  await api.db.exec('set', `update connections set receipts = 'one_per_text' where id = $1`, [connectionId])
  expect(await alarmsOf(connectionId)).toEqual([])
})

test('binds that have failed for a minute are an alarm until the slot is bound', async () => {
  const connectionId = await connection()
  const fail = (seconds: number) =>
    api.db.exec(
      'fail',
      `insert into bind_slots (connection_id, slot, last_error, failing_since)
       values ($1, 0, 'ESME_RBINDFAIL', clock_timestamp() - $2 * interval '1 second')
           on conflict (connection_id, slot) do update set failing_since = excluded.failing_since`,
      [connectionId, seconds],
    )
  await fail(30)
  expect(await alarmsOf(connectionId)).toEqual([])
  await fail(61)
  const [alarm] = await findAlarms(api.db, null, now)
  expect(alarm).toMatchObject({
    name: 'bind_failing',
    detail: 'Binds without success: 1. Latest error: ESME_RBINDFAIL',
  })
  // a slot that the connection no longer has
  await api.db.exec('move', 'update bind_slots set slot = 1')
  expect(await alarmsOf(connectionId)).toEqual([])
})

describe('unmatched MOs', () => {
  const storeMo = (connectionId: number, receivedAt: Date, problem: 'sender' | 'destination' | null) =>
    api.db.exec(
      'store_mo',
      `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at, problem, kind)
       values ($1, '155123', 2065560001, 'Hello', '', 0, $2, $3, 'other')`,
      [connectionId, receivedAt, problem],
    )

  test('of the last day are an alarm', async () => {
    const connectionId = await connection()
    await storeMo(connectionId, hoursAgo(1), null)
    await storeMo(connectionId, hoursAgo(25), 'sender')
    await storeMo(await connection(), hoursAgo(1), 'sender')
    expect(await alarmsOf(connectionId)).toEqual([])
    await storeMo(connectionId, hoursAgo(3), 'sender')
    await storeMo(connectionId, hoursAgo(2), 'destination')
    const [alarm] = await findAlarms(api.db, [connectionId], now)
    expect(alarm).toMatchObject({ name: 'mos_unmatched', since: hoursAgo(3) })
    expect(alarm?.detail).toContain('2, of which 1')
  })

  test('that are opt-outs without effect are another alarm until they are applied', async () => {
    const connectionId = await connection()
    const { id } = await make.unmatchedStop(api.db, { connectionId })
    await api.db.exec('receive', 'update inbound_messages set received_at = $1', [hoursAgo(29 * 24)])
    expect(await alarmsOf(connectionId)).toEqual(['opt_outs_unapplied'])
    await api.db.exec('apply', 'update inbound_messages set opted_out_at = $2 where id = $1', [id, now])
    expect(await alarmsOf(connectionId)).toEqual([])
  })
})

test('receipts that match no text or have no known state are an alarm for a day', async () => {
  const connectionId = await connection()
  const receipt = {
    connectionId,
    smscId: '77',
    phone: 2_065_560_001,
    shortCode: '55123',
    reference: null,
    carrierStatus: 'FOO',
    submitDate: null,
    excerpt: null,
    receivedAt: hoursAgo(2),
  }
  const unread = { ...receipt, state: null, reason: null }
  await insertUnreadReceipts(api.db, [{ ...unread, receivedAt: hoursAgo(25) }])
  await insertWaitingReceipts(api.db, [{ ...receipt, state: 'delivered', reason: null }])
  expect(await alarmsOf(connectionId)).toEqual([])
  await insertUnreadReceipts(api.db, [unread])
  const orphan = `update receipts set outcome = 'orphan', ended_at = $1 where outcome = 'waiting'`
  await api.db.exec('orphan', orphan, [hoursAgo(1)])
  const [alarm] = await findAlarms(api.db, [connectionId], now)
  expect(alarm).toMatchObject({ name: 'receipts_unmatched', since: hoursAgo(2) })
  expect(alarm?.detail).toContain('2, of which 1')
})

describe('texts without a receipt', () => {
  /** Stores a message that was sent, with counters of its texts. */
  async function storeMessage(sentAt: Date, sent: number, delivered: number, shortCodeId = api.owner.shortCode.id) {
    const { id } = await api.db.one<{ id: number }>(
      'store_message',
      `insert into messages (account_id, short_code_id, kind, consent, content, part_count, status, logged_on,
                             created_at, accepted_at, sent_at)
       values ($1, $2, 'transactional', 'not_opted_out', 'x', 1, 'sent', $3::timestamptz::date, $3, $3, $3) returning id`,
      [api.owner.accountId, shortCodeId, sentAt],
    )
    await api.db.exec(
      'store_counters',
      `insert into message_counters (message_id, audience, sent, delivered) values ($1, $2, $3, $4)`,
      [id, sent + delivered, sent, delivered],
    )
  }

  test('are an alarm an hour after their message was sent, if they are a third', async () => {
    const connectionId = await connection()
    await storeMessage(hoursAgo(0.9), 1_000, 0)
    await storeMessage(hoursAgo(2), 19, 0)
    expect(await alarmsOf(connectionId)).toEqual([])
    await storeMessage(hoursAgo(3), 100, 400)
    expect(await alarmsOf(connectionId)).toEqual([])
    await storeMessage(hoursAgo(4), 200, 0)
    const [alarm] = await findAlarms(api.db, [connectionId], now)
    expect(alarm).toMatchObject({ name: 'receipts_missing', since: hoursAgo(4) })
    expect(alarm?.detail).toContain('319 of 719')
  })

  test('are an alarm of the connections of their short code', async () => {
    const [own, other] = [await connection(), await connection()]
    const route = 'insert into short_code_routes (short_code_id, connection_id) values ($1, $2)'
    await api.db.exec('route', route, [api.owner.shortCode.id, own])
    await storeMessage(hoursAgo(2), 50, 0)
    expect([await alarmsOf(own), await alarmsOf(other)]).toEqual([['receipts_missing'], []])
  })
})
