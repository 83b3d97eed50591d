import { randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { phones, useCarriers } from '../../../test/carriers.ts'
import { make } from '../../../test/make.ts'
import { checkCounters } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { findAlarms } from '../../connections/alarms.ts'
import { claimSlots, releaseSlots, renewSlots, syncSlots } from '../../connections/bind-slots.queries.ts'
import { listenForWork } from '../../db/wake.ts'
import type { BindGroup } from './bind-group.ts'
import { BindSlots } from './bind-slots.ts'

const ctx = useCarriers()

test('two gateways share the slots, and one that stops releases its slots immediately', async () => {
  const { sending } = ctx
  const carrier = await ctx.connectCarrier()
  await ctx.updateConnection(carrier.id, 'slots = 4')
  const first = await ctx.startGateway()
  await ctx.untilBound(carrier.id, 4)
  await ctx.startGateway()
  const slotCounts = async () => {
    const owned = new Map<string, number>()
    for (const slot of await ctx.slotsOf(carrier.id)) {
      if (slot.bound && slot.leasedBy) owned.set(slot.leasedBy, (owned.get(slot.leasedBy) ?? 0) + 1)
    }
    return [...owned.values()].join()
  }
  await waitFor(async () => (await slotCounts()) === '2,2')
  expect(carrier.bound.size).toBe(4)
  await sending.subscribe(...phones(50))
  await sending.waitForCounters(await sending.broadcast(), { sent: 50 })
  await first.stop()
  await waitFor(async () => (await slotCounts()) === '4', { timeoutMs: 1_400 })
  await sending.waitForCounters(await sending.broadcast(), { sent: 50 })
})

test('a released slot can be claimed immediately, and other gateways are notified', async () => {
  const { db, rt } = ctx.sending
  const { id } = await make.connection(db, { name: 'Cedar SMS' })
  await syncSlots(db)
  const [gateway, another] = [randomUUID(), randomUUID()]
  const leaseMs = 60_000
  await claimSlots(db, gateway, leaseMs, [id])
  const notices: string[] = []
  const listening = new AbortController()
  listenForWork(rt.databaseUrl, rt.log, listening.signal, (work) => notices.push(work))
  // once it is connected, the listener reports all kinds of work, in case it has missed a notice
  await waitFor(() => notices.includes('connections'))
  notices.length = 0
  const group = { connection: { id, name: 'Cedar SMS', slots: 1 }, slots: [{ slot: 0 }], closeSlot: async () => {} }
  const groups = new Map([[id, group as unknown as BindGroup]])
  const slots = new BindSlots({ db, log: rt.log, gateway, leaseMs, groups })
  await slots.stop()
  await waitFor(() => notices.includes('connections'))
  listening.abort()
  expect((await claimSlots(db, another, leaseMs, [id]))[0]?.claimed).toEqual([0])
})

test('slots of a dead gateway are claimed when its lease has ended, and not before', async () => {
  const { db } = ctx.sending
  const carrier = await ctx.connectCarrier()
  await ctx.startGateway()
  await ctx.untilBound(carrier.id)
  // leased by a gateway that never binds it and never renews the lease
  const other = randomUUID()
  await db.exec(
    'lease_by_other',
    `update bind_slots set leased_by = $1, lease_until = clock_timestamp() + interval '900 milliseconds'`,
    [other],
  )
  await waitFor(() => carrier.bound.size === 0, { what: 'the session of the lost slot to end' })
  expect(await db.exec('leased', `select from bind_slots where lease_until > clock_timestamp()`)).toBe(1)
  await waitFor(() => carrier.bound.size === 1, { timeoutMs: 3_000 })
  expect(await ctx.slotsOf(carrier.id)).not.toMatchObject([{ leasedBy: other }])
})

test('slots whose claim got no response from the database can be claimed again when their lease has ended', async () => {
  const { db } = ctx.sending
  const carrier = await ctx.connectCarrier()
  await db.exec('slot', 'insert into bind_slots (connection_id, slot) values ($1, 0)', [carrier.id])
  const gateway = randomUUID()
  const claim = (leaseMs: number) => claimSlots(db, gateway, leaseMs, [carrier.id])
  expect(await claim(200)).toMatchObject([{ claimed: [0] }])
  expect(await claim(200)).toMatchObject([{ claimed: [] }])
  await waitFor(async () => (await claim(5_000))[0]?.claimed.length === 1)
})

test('missing slots are inserted later if the database failed when their connection was created', async () => {
  const { db } = ctx.sending
  const carrier = await ctx.connectCarrier()
  await db.exec('hide', 'alter table bind_slots rename to hidden_slots')
  let failures = 0
  const lines = new Writable({
    write(line, _, done) {
      if (String(line).includes('failed to read connections')) failures++
      done()
    },
  })
  await ctx.startGateway({ log: pino({ level: 'warn' }, lines) })
  await waitFor(() => failures > 0)
  await db.exec('show', 'alter table hidden_slots rename to bind_slots')
  await ctx.untilBound(carrier.id)
})

test('gateways that claim at the same time never get the same slot', async () => {
  const { db } = ctx.sending
  const carrier = await ctx.connectCarrier()
  await ctx.updateConnection(carrier.id, 'slots = 20')
  await db.exec('slots', 'insert into bind_slots (connection_id, slot) select $1, n from generate_series(0, 19) n', [
    carrier.id,
  ])
  const gateways = [0, 1, 2, 3].map(() => randomUUID())
  for (const gateway of gateways) {
    await db.exec(
      'beat',
      `insert into heartbeats (role, instance_id, details, seen_at)
       values ('gateway', $1, '{"serving": true}', clock_timestamp())`,
      [gateway],
    )
  }
  const claims = await Promise.all(gateways.map((gateway) => claimSlots(db, gateway, 5_000, [carrier.id])))
  const slots = claims.flatMap((shares) => shares.flatMap((share) => share.claimed))
  expect(new Set(slots).size).toBe(slots.length)
  for (const gateway of gateways) await claimSlots(db, gateway, 5_000, [carrier.id])
  expect((await ctx.slotsOf(carrier.id)).filter((slot) => slot.leasedBy !== null)).toHaveLength(20)
  const [first = '', second = ''] = gateways
  const leasedByFirst = 'select slot from bind_slots where leased_by = $1'
  const [slot] = await db.many<{ slot: number }>('leased_by_first', leasedByFirst, [first])
  const state = { connectionId: carrier.id, slot: slot?.slot ?? -1, bound: true, lastError: null }
  expect(await renewSlots(db, first, 5_000, [state])).toHaveLength(1)
  expect(await renewSlots(db, second, 5_000, [state])).toEqual([])
})

test('slots that cannot be bound stay leased if no other gateway could claim them', async () => {
  const carrier = await ctx.connectCarrier()
  await ctx.updateConnection(carrier.id, 'port = 1')
  await ctx.startGateway()
  await waitFor(async () => (await ctx.slotsOf(carrier.id))[0]?.leasedBy)
  const since = performance.now()
  // two leases, and the interval in which the gateway would have released them
  await waitFor(
    async () => {
      expect(await ctx.slotsOf(carrier.id)).not.toMatchObject([{ leasedBy: null }])
      return performance.now() - since > 3_600
    },
    { timeoutMs: 6_000 },
  )
})

test('slots that this gateway cannot bind are released for other gateways', async () => {
  const { sending } = ctx
  const carrier = await ctx.connectCarrier()
  await ctx.updateConnection(carrier.id, 'port = 1')
  await sending.db.exec(
    'another',
    `insert into heartbeats (role, instance_id, details, seen_at)
     values ('gateway', $1, '{"serving": true}', clock_timestamp() + interval '1 minute')`,
    [randomUUID()],
  )
  await ctx.startGateway()
  await waitFor(async () => (await ctx.slotsOf(carrier.id))[0]?.leasedBy)
  await waitFor(async () => (await ctx.slotsOf(carrier.id))[0]?.leasedBy === null, { timeoutMs: 6_000 })
  await ctx.updateConnection(carrier.id, `port = ${carrier.port}`)
  await ctx.untilBound(carrier.id)
  await checkCounters(sending.db, await sending.broadcast())
})

test('a slot fails since its first failure, whichever gateway tries, until it is bound', async () => {
  const { db } = ctx.sending
  const { id } = await make.connection(db)
  await syncSlots(db)
  const [gateway, another] = [randomUUID(), randomUUID()]
  const leaseMs = 60_000
  const renew = (by: string, bound: boolean, lastError: string | null) =>
    renewSlots(db, by, leaseMs, [{ connectionId: id, slot: 0, bound, lastError }])
  const failingSince = async () => {
    const slot = 'select failing_since as since from bind_slots where connection_id = $1'
    return (await db.one<{ since: Date | null }>('failing_since', slot, [id])).since
  }
  await claimSlots(db, gateway, leaseMs, [id])
  await renew(gateway, false, null)
  expect(await failingSince()).toBeNull()
  await renew(gateway, false, 'ESME_RBINDFAIL')
  const since = await failingSince()
  expect(since).toBeInstanceOf(Date)
  await releaseSlots(db, gateway, [{ connectionId: id, slot: 0 }])
  await claimSlots(db, another, leaseMs, [id])
  await renew(another, false, null)
  await renew(another, false, 'ESME_RINVPASWD')
  expect(await failingSince()).toEqual(since)
  await renew(another, true, null)
  expect(await failingSince()).toBeNull()
  // a disabled connection fails no more
  await renew(another, false, 'ESME_RBINDFAIL')
  await db.exec('disable', 'update connections set enabled = false where id = $1', [id])
  await releaseSlots(db, another, [{ connectionId: id, slot: 0 }])
  expect(await failingSince()).toBeNull()
})

test('a connection that cannot be bound has failing binds', async () => {
  const { db } = ctx.sending
  const { id } = await make.connection(db, { port: 1 })
  await ctx.startGateway()
  const failing = 'select from bind_slots where connection_id = $1 and failing_since is not null'
  await waitFor(async () => (await db.many('failing', failing, [id])).length === 1)
  await db.exec('age', `update bind_slots set failing_since = failing_since - interval '1 minute'`)
  expect(await findAlarms(db, [id], new Date())).toMatchObject([{ name: 'bind_failing' }])
})
