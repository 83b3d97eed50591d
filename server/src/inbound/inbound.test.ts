import { afterEach, beforeEach, expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { startSending } from '../../test/sending.ts'
import { csvUpload } from '../../test/uploads.ts'
import { waitFor } from '../../test/wait-for.ts'
import { applyNextSlice, receiveImport } from '../imports/imports.ts'
import { systemClock } from '../lib/clock.ts'
import { changeList, getList } from '../lists/lists.ts'
import { acceptBroadcast, sendToNumbers } from '../messages/messages.ts'
import { addSubscriber } from '../opt-ins/subscribe.ts'
import { blockNumbers } from '../short-codes/short-codes.queries.ts'
import { interpretInbound, storeInbound } from './inbound.ts'

let sending: Awaited<ReturnType<typeof startSending>>
let gateway: Awaited<ReturnType<typeof sending.startGateway>>

beforeEach(async () => {
  sending = await startSending()
  gateway = await sending.startGateway()
})
afterEach(() => sending.stop())

const phone = 2_065_560_001
const received = () =>
  sending
    .raw()
    .filter((record) => record.destination === `1${phone}`)
    .map((record) => Buffer.from(record.shortMessage, 'hex').toString('latin1'))

const stateOn = async (listId: number) =>
  (
    await sending.db.one<{ state: string }>('s', 'select state from subscribers where list_id = $1 and phone = $2', [
      listId,
      phone,
    ])
  ).state

/** Returns a STOP to the short code, to be stored without a gateway. */
async function makeStop() {
  const { id: connectionId } = await sending.db.one<{ id: number }>('a_connection', 'select id from connections')
  const raw = Buffer.from('STOP')
  const { code: shortCode } = sending.shortCode
  return { connectionId, shortCode, phone, content: 'STOP', raw, dataCoding: 0, receivedAt: systemClock.now() }
}

const allInterpreted = (count: number) =>
  waitFor(async () => {
    const row = await sending.db.one<{ n: number }>(
      'n',
      'select count(*) as n from inbound_messages where interpreted_at is not null',
    )
    return row.n === count
  })

test('a bare STOP opts out of every list of the short code, with one confirmation', async () => {
  const other = await make.list(sending.db, { accountId: sending.list.accountId, shortCodeId: sending.shortCode.id })
  const elsewhere = await make.list(sending.db, { accountId: sending.list.accountId })
  await sending.subscribe(phone)
  await make.subscriber(sending.db, { listId: other.id, phone, state: 'pending' })
  await make.subscriber(sending.db, { listId: elsewhere.id, phone })
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { delivered: 1 })
  await sending.sendMo(phone, ' Stop. ')
  await allInterpreted(1)
  expect(await stateOn(sending.list.id)).toBe('unsubscribed')
  expect(await stateOn(other.id)).toBe('unsubscribed')
  expect(await stateOn(elsewhere.id)).toBe('subscribed')
  await waitFor(() => received().length === 2)
  expect(received()[1]).toBe('You are out of the pantry list.')
  expect((await sending.counters(id)).unsubscribeCount).toBe(1)
  const opts = await sending.db.many(
    'opt_outs',
    `select list_id, method, wording from opts where kind = 'opt_out' order by list_id`,
  )
  expect(opts).toEqual([
    { list_id: sending.list.id, method: 'stop', wording: ' Stop. ' },
    { list_id: other.id, method: 'stop', wording: ' Stop. ' },
  ])
  // a second STOP changes no list and is not confirmed again
  await sending.sendMo(phone, 'STOP')
  await allInterpreted(2)
  expect(await sending.db.many('system_messages', `select 1 from messages where kind = 'system'`)).toHaveLength(1)
})

test('a STOP also opts out of lists that moved to another short code', async () => {
  const elsewhere = await make.shortCode(sending.db, { accountId: sending.list.accountId })
  await sending.subscribe(phone)
  const change = (shortCode: string) =>
    changeList({ ...sending, clock: systemClock }, sending.list.accountId, sending.list.id, {}, shortCode)
  await change(elsewhere.code)
  await sending.sendMo(phone, 'STOP')
  await allInterpreted(1)
  expect(await stateOn(sending.list.id)).toBe('unsubscribed')
  // after the list has moved back, a STOP unsubscribes the phone from it once
  await change(sending.shortCode.code)
  await sending.db.exec('again', `update subscribers set state = 'subscribed' where phone = $1`, [phone])
  await sending.sendMo(phone, 'STOP')
  await allInterpreted(2)
  expect(await stateOn(sending.list.id)).toBe('unsubscribed')
})

test('a STOP suppresses texts that are queued already', async () => {
  await sending.subscribe(phone, phone + 1)
  await gateway.stop()
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { audience: 2, queued: 2 })
  // no gateway runs to mark the text before the STOP is handled
  await storeInbound(sending.db, await makeStop())
  expect(await interpretInbound(sending.rt)).toBe(true)
  await sending.waitForCounters(id, { queued: 1, suppressed: 1 })
  expect(await sending.states(id)).toEqual({ [phone]: 'suppressed opted_out', [phone + 1]: 'queued' })
  gateway = await sending.startGateway()
  await sending.waitForCounters(id, { suppressed: 1, delivered: 1 })
  await waitFor(() => received().length === 1)
  expect(received()).toEqual(['You are out of the pantry list.'])
})

test('HELP and STOP get a reply from any phone, other texts get none', async () => {
  await sending.sendMo(phone, 'help')
  await waitFor(() => received().length === 1)
  expect(received()[0]).toContain('STOP')
  await sending.sendMo(phone, 'Unsubscribe')
  await waitFor(() => received().length === 2)
  await sending.sendMo(phone, 'stop this bill')
  await allInterpreted(3)
  expect(received()).toHaveLength(2)
  const kinds = await sending.db.many('kinds', 'select kind from inbound_messages order by id')
  expect(kinds).toEqual([{ kind: 'help' }, { kind: 'opt_out' }, { kind: 'other' }])
})

test('a subscriber gets the texts of the list that texted last, otherwise of the one joined last', async () => {
  const { accountId } = sending.list
  const shortCodeId = sending.shortCode.id
  const texts = (name: string) => ({ messageHelp: `Ask the ${name}.`, messageStop: `You left the ${name}.` })
  const older = await make.list(sending.db, { accountId, shortCodeId, ...texts('pantry') })
  const newer = await make.list(sending.db, { accountId, shortCodeId, ...texts('shop') })
  await make.subscriber(sending.db, { listId: newer.id, phone, at: new Date('2026-02-02T10:00:00Z') })
  await make.subscriber(sending.db, { listId: older.id, phone, at: new Date('2026-01-01T10:00:00Z') })
  await sending.sendMo(phone, 'HELP')
  await waitFor(() => received().length === 1)
  await acceptBroadcast(sending.rt, { accountId, list: older, content: 'Soup' })
  await waitFor(() => received().length === 2)
  await sending.sendMo(phone, 'STOP')
  await waitFor(() => received().length === 3)
  expect(received()).toEqual(['Ask the shop.', 'Soup', 'You left the pantry.'])
})

test('after a STOP, no list of the short code texts the phone, however it got onto the list', async () => {
  const { accountId } = sending.list
  await sending.subscribe(phone)
  await sending.sendMo(phone, 'STOP')
  await allInterpreted(1)
  await waitFor(() => received().length === 1)
  const made = await make.list(sending.db, { accountId, shortCodeId: sending.shortCode.id })
  const moved = await make.list(sending.db, { accountId })
  for (const { id: listId } of [made, moved]) {
    for (const each of [phone, phone + 1]) await make.subscriber(sending.db, { listId, phone: each })
  }
  await changeList(sending.rt, accountId, moved.id, {}, sending.shortCode.code)
  for (const { id } of [made, moved]) {
    const list = { id, shortCodeId: sending.shortCode.id }
    const broadcast = await acceptBroadcast(sending.rt, { accountId, list, content: 'From another list' })
    await sending.waitForCounters(broadcast.id, { suppressed: 1, delivered: 1 })
    expect(await sending.states(broadcast.id)).toMatchObject({ [phone]: 'suppressed stopped' })
  }
  expect(received()).toEqual(['You are out of the pantry list.'])
})

test('a STOP from a phone on no list is recorded with the short code', async () => {
  await sending.sendMo(phone, 'STOP')
  await allInterpreted(1)
  const ledger = 'select list_id, short_code_id, kind, method, wording from opts where phone = $1'
  expect(await sending.db.many('ledger', ledger, [phone])).toEqual([
    { list_id: null, short_code_id: sending.shortCode.id, kind: 'opt_out', method: 'stop', wording: 'STOP' },
  ])
})

test('an MO is stored unchanged in any alphabet', async () => {
  await sending.sendMo(phone, 'Grüße 👋 from the pantry')
  await allInterpreted(1)
  expect(await sending.db.one('stored_mo', 'select content, short_code, phone from inbound_messages')).toEqual({
    content: 'Grüße 👋 from the pantry',
    short_code: sending.shortCode.code,
    phone,
  })
})

test('a STOP also stops texts without a list', async () => {
  const { accountId } = sending.list
  const transactional = () =>
    sendToNumbers(sending.rt, {
      accountId,
      listId: null,
      shortCodeId: sending.shortCode.id,
      phones: [phone],
      content: 'Your pickup is at five.',
      field: 'number',
    })
  const before = await transactional()
  await sending.waitForCounters(before.id, { delivered: 1 })

  // queue a text while no gateway runs to mark it
  await gateway.stop()
  const queued = await transactional()
  await storeInbound(sending.db, await makeStop())
  expect(await interpretInbound(sending.rt)).toBe(true)
  await sending.waitForCounters(queued.id, { suppressed: 1 })
  gateway = await sending.startGateway()
  await allInterpreted(1)
  await expect(transactional()).rejects.toThrow('Number has opted out: 2065560001')
  await waitFor(() => received().length === 2)
  expect(received()[1]).toContain('You are unsubscribed')
})

test('a number that texts START after STOP gets the texts of its list again', async () => {
  const list = await getList(sending.db, sending.list.accountId, sending.list.id)
  const input = { list, phone, profile: {}, bypassProcess: true, bypassResponse: true, actor: 'key:1' }
  await addSubscriber(sending.rt, input)
  await sending.sendMo(phone, 'STOP')
  await allInterpreted(1)
  await waitFor(() => received().length === 1, { what: 'the confirmation' })
  await sending.sendMo(phone, 'Start')
  await allInterpreted(2)
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { delivered: 1 })
  expect(received()).toEqual(['You are out of the pantry list.', 'The pantry opens at nine.'])
})

test('a text accepted before the STOP is suppressed by the mark after it', async () => {
  const { accountId } = sending.list
  await gateway.stop()
  const { id } = await sendToNumbers(sending.rt, {
    accountId,
    listId: null,
    shortCodeId: sending.shortCode.id,
    phones: [phone, phone + 1],
    content: 'Your pickup is at five.',
    field: 'number',
  })
  await blockNumbers(sending.db, sending.shortCode.id, [phone], systemClock.now())
  gateway = await sending.startGateway()
  await sending.waitForCounters(id, { suppressed: 1, delivered: 1 })
  expect(received()).toEqual([])
})

test('a STOP takes precedence over a running import of the same number', async () => {
  const rows = `phone_number\n${phone}\n${phone + 1}\n`
  const { id } = await receiveImport(sending.rt, csvUpload(sending.list, rows))
  await sending.sendMo(phone, 'STOP')
  await allInterpreted(1)
  while (await applyNextSlice(sending.rt, id));
  expect(await stateOn(sending.list.id)).toBe('unsubscribed')
  const counts = await sending.db.one('counts_of_import', 'select added, kept_opted_out from imports where id = $1', [
    id,
  ])
  expect(counts).toEqual({ added: 1, kept_opted_out: 1 })
})
