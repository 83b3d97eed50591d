import { Writable } from 'node:stream'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { make } from '../../../test/make.ts'
import { type Responder, startCarrier } from '../../../test/odd-carrier.ts'
import { checkBooks, startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { claimSlots, renewSlots } from '../../connections/bind-slots.queries.ts'
import { wake } from '../../db/wake.ts'
import { acceptBroadcast } from '../../messages/messages.ts'
import { startGateway } from '../gateway.ts'

// Connections, bind slots and sending routes are rows; gateways follow them, each with its share.

let sending: Awaited<ReturnType<typeof startSending>>
let cleanUp: Array<() => Promise<unknown>> = []

beforeEach(async () => {
  sending = await startSending({ leaseMs: 1_500, responseDeadlineMs: 1_000 })
})
afterEach(async () => {
  for (const step of cleanUp.reverse()) await step()
  cleanUp = []
  await sending.stop()
})

const accept: Responder = (_, ordinal) => ({ message_id: `id${ordinal}` })
const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_560_001 + n)

async function gateway() {
  const { rt } = sending
  const started = await startGateway({ ...rt, config: { ...rt.config, smpp: undefined } })
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= started.stop()
    return stopped
  }
  cleanUp.push(stop)
  return { stop }
}

/** A carrier, and the connection to it. */
async function carrier(respond: Responder = accept) {
  const started = await startCarrier(respond)
  cleanUp.push(() => started.server.close())
  const { id } = await make.connection(sending.db, { port: started.port })
  return { ...started, id }
}

async function set(connectionId: number, assignments: string) {
  await sending.db.tx(async (tx) => {
    await tx.exec(
      `set ${assignments}`,
      `update connections set ${assignments}, version = version + 1 where id = ${connectionId}`,
    )
    await wake(tx, 'connections')
  })
}

async function route(connectionId: number, tier: number, weight = 1, shortCodeId = sending.shortCode.id) {
  await sending.db.tx(async (tx) => {
    await tx.exec(
      'route',
      'insert into short_code_routes (short_code_id, connection_id, tier, weight) values ($1, $2, $3, $4)',
      [shortCodeId, connectionId, tier, weight],
    )
    await wake(tx, 'connections')
  })
}

const slotsOf = (connectionId: number) =>
  sending.db.many<{ leasedBy: string | null; bound: boolean; lastError: string | null }>(
    'slots_of',
    'select leased_by as "leasedBy", bound, last_error as "lastError" from bind_slots where connection_id = $1 order by slot',
    [connectionId],
  )

const untilBound = (connectionId: number, count = 1) =>
  waitFor(async () => (await slotsOf(connectionId)).filter((slot) => slot.bound).length === count, {
    what: `${count} slots bound`,
  })

describe('sending routes', () => {
  test('share a broadcast by their weights', async () => {
    const [much, little] = [await carrier(), await carrier()]
    await route(much.id, 0, 3)
    await route(little.id, 0, 1)
    await gateway()
    await untilBound(much.id)
    await untilBound(little.id)
    await sending.subscribe(...phones(200))
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 200 })
    expect(much.submits.length).toBeGreaterThanOrEqual(140)
    expect(much.submits.length).toBeLessThanOrEqual(160)
    expect(much.submits.length + little.submits.length).toBe(200)
    const recorded = await sending.db.many(
      'recorded',
      'select connection_id as id, count(*)::int as count from submits group by 1 order by 1',
    )
    expect(recorded).toEqual([
      { id: much.id, count: much.submits.length },
      { id: little.id, count: little.submits.length },
    ])
  })

  test('of the lowest bound tier are used; a tier that comes back is used again', async () => {
    const [first, second] = [await carrier(), await carrier()]
    await route(first.id, 0)
    await route(second.id, 1)
    await gateway()
    await untilBound(first.id)
    await untilBound(second.id)
    await sending.subscribe(...phones(5))
    for (let n = 0; n < 2; n++) await sending.untilCounted(await sending.broadcast(), { sent: 5 })
    expect([first.submits.length, second.submits.length]).toEqual([10, 0])
    await set(first.id, 'port = 1')
    await untilBound(first.id, 0)
    await sending.untilCounted(await sending.broadcast(), { sent: 5 })
    expect([first.submits.length, second.submits.length]).toEqual([10, 5])
    await set(first.id, `port = ${first.port}`)
    await untilBound(first.id)
    for (let n = 0; n < 2; n++) await sending.untilCounted(await sending.broadcast(), { sent: 5 })
    expect([first.submits.length, second.submits.length]).toEqual([20, 5])
  })

  test('a short code without a bind group waits and delays no other', async () => {
    const [away, here] = [await carrier(), await carrier()]
    await route(away.id, 0)
    await set(away.id, 'port = 1, serves_all = false')
    await gateway()
    await untilBound(here.id)
    await sending.subscribe(...phones(5))
    const waiting = await sending.broadcast()
    const shortCode = await make.shortCode(sending.db, { accountId: sending.list.accountId })
    const list = await make.list(sending.db, { accountId: sending.list.accountId, shortCodeId: shortCode.id })
    for (const phone of phones(5)) await make.subscriber(sending.db, { listId: list.id, phone })
    const { id } = await acceptBroadcast(sending.rt, { accountId: list.accountId, list, content: 'Hello' })
    await sending.untilCounted(id, { sent: 5 })
    await sending.untilCounted(waiting, { queued: 5 })
    expect(here.submits).toHaveLength(5)
    await set(away.id, `port = ${away.port}`)
    await sending.untilCounted(waiting, { sent: 5 })
    expect(away.submits).toHaveLength(5)
  })

  test('a bind group without any response does not delay the others of its tier', async () => {
    const [dead, alive] = [await carrier(() => undefined), await carrier()]
    await set(dead.id, 'response_deadline_ms = 20000, "window" = 2')
    await gateway()
    await untilBound(dead.id)
    await untilBound(alive.id)
    await sending.subscribe(...phones(100))
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 98, submitting: 2 })
    expect(dead.submits).toHaveLength(2)
  })
})

describe('a connection that is edited', () => {
  test('keeps its bind when the window changes, and fills the new one', async () => {
    const slow = await carrier(() => undefined)
    await set(slow.id, '"window" = 2')
    await gateway()
    await untilBound(slow.id)
    const session = [...slow.bound][0]
    await sending.subscribe(...phones(9))
    await sending.broadcast()
    await waitFor(() => slow.submits.length === 2)
    await set(slow.id, '"window" = 5')
    await waitFor(() => slow.submits.length === 5)
    expect([...slow.bound]).toEqual([session])
  })

  test('binds to its new address, and texts in flight get their responses from the old one', async () => {
    const old = await carrier(() => undefined)
    const other = await startCarrier(accept)
    cleanUp.push(() => other.server.close())
    await set(old.id, '"window" = 3, response_deadline_ms = 5000')
    await gateway()
    await untilBound(old.id)
    const [session] = [...old.bound]
    await sending.subscribe(...phones(10))
    const id = await sending.broadcast()
    await waitFor(() => old.submits.length === 3)
    await set(old.id, `port = ${other.port}`)
    await waitFor(() => other.submits.length === 7)
    expect(session?.bound).toBe(true)
    for (const [n, pdu] of old.submits.entries()) session?.respond(pdu, { message_id: `late${n}` })
    await sending.untilCounted(id, { sent: 10 })
    await waitFor(() => old.bound.size === 0, { what: 'the old bind to leave' })
  })

  test('unbinds when it is disabled and binds when it is enabled', async () => {
    const given = await carrier()
    await gateway()
    await untilBound(given.id)
    await set(given.id, 'enabled = false')
    await waitFor(() => given.bound.size === 0)
    await waitFor(async () => (await slotsOf(given.id)).every((slot) => slot.leasedBy === null))
    await sending.subscribe(...phones(3))
    const id = await sending.broadcast()
    await sending.untilCounted(id, { queued: 3 })
    await set(given.id, 'enabled = true')
    await sending.untilCounted(id, { sent: 3 })
  })

  test('has as many binds as it has slots', async () => {
    const given = await carrier()
    await gateway()
    await untilBound(given.id)
    await set(given.id, 'slots = 3')
    await waitFor(() => given.bound.size === 3)
    await set(given.id, 'slots = 2')
    await waitFor(() => given.bound.size === 2)
    await untilBound(given.id, 2)
    await waitFor(async () => (await slotsOf(given.id)).length === 2)
  })

  test('says why it is not bound', async () => {
    const given = await carrier()
    await set(given.id, 'port = 1')
    await gateway()
    await waitFor(async () => (await slotsOf(given.id))[0]?.lastError?.includes('ECONNREFUSED'))
    await set(given.id, `port = ${given.port}`)
    await untilBound(given.id)
    expect(await slotsOf(given.id)).toMatchObject([{ bound: true, lastError: null }])
  })
})

describe('bind types', () => {
  test('a pair submits through its transmitter, and only while its receiver is bound', async () => {
    const given = await carrier()
    await set(given.id, `bind_type = 'pair'`)
    await gateway()
    await untilBound(given.id)
    const states = () => [...given.bound].map((session) => session.state).sort()
    expect(states()).toEqual(['bound_rx', 'bound_tx'])
    await sending.subscribe(...phones(3))
    await sending.untilCounted(await sending.broadcast(), { sent: 3 })
    for (const session of given.bound) if (session.state === 'bound_rx') session.destroy()
    await waitFor(() => states().join() === 'bound_rx,bound_tx')
  })

  test('a receiver is bound and submits nothing', async () => {
    const given = await carrier()
    await set(given.id, `bind_type = 'receiver'`)
    await gateway()
    await untilBound(given.id)
    await sending.subscribe(...phones(1))
    const id = await sending.broadcast()
    await sending.untilCounted(id, { queued: 1 })
    await set(given.id, `bind_type = 'transmitter'`)
    await sending.untilCounted(id, { sent: 1 })
  })
})

describe('bind slots', () => {
  test('are shared by two gateways; one that stops releases its own at once', async () => {
    const given = await carrier()
    await set(given.id, 'slots = 4')
    const first = await gateway()
    await untilBound(given.id, 4)
    await gateway()
    const owners = async () => {
      const owned = new Map<string, number>()
      for (const slot of await slotsOf(given.id)) {
        if (slot.bound && slot.leasedBy) owned.set(slot.leasedBy, (owned.get(slot.leasedBy) ?? 0) + 1)
      }
      return [...owned.values()].join()
    }
    await waitFor(async () => (await owners()) === '2,2')
    expect(given.bound.size).toBe(4)
    await sending.subscribe(...phones(50))
    await sending.untilCounted(await sending.broadcast(), { sent: 50 })
    await first.stop()
    await waitFor(async () => (await owners()) === '4', { timeoutMs: 1_400 })
    await sending.untilCounted(await sending.broadcast(), { sent: 50 })
  })

  test('of a dead gateway are claimed when its lease has ended, not before', async () => {
    const given = await carrier()
    await gateway()
    await untilBound(given.id)
    // another one's, that never binds it and never comes back
    const other = crypto.randomUUID()
    await sending.db.exec(
      'seize',
      `update bind_slots set leased_by = $1, lease_until = clock_timestamp() + interval '900 milliseconds'`,
      [other],
    )
    await waitFor(() => given.bound.size === 0, { what: 'the session of the lost slot to end' })
    expect(await sending.db.exec('still', `select from bind_slots where lease_until > clock_timestamp()`)).toBe(1)
    await waitFor(() => given.bound.size === 1, { timeoutMs: 3_000 })
    expect(await slotsOf(given.id)).not.toMatchObject([{ leasedBy: other }])
  })

  test('that were claimed without a response are ours again when that lease has ended', async () => {
    const given = await carrier()
    await sending.db.exec('slot', 'insert into bind_slots (connection_id, slot) values ($1, 0)', [given.id])
    const gateway = crypto.randomUUID()
    const take = (leaseMs: number) => claimSlots(sending.db, gateway, leaseMs, [given.id])
    expect(await take(200)).toMatchObject([{ claimed: [0] }])
    expect(await take(200)).toMatchObject([{ claimed: [] }])
    await waitFor(async () => (await take(5_000))[0]?.claimed.length === 1)
  })

  test('are inserted later when the database was away as their connection was created', async () => {
    const given = await carrier()
    await sending.db.exec('hide', 'alter table bind_slots rename to hidden_slots')
    let failures = 0
    const lines = new Writable({
      write(line, _, done) {
        if (String(line).includes('failed to read connections')) failures++
        done()
      },
    })
    const { rt } = sending
    const config = { ...rt.config, smpp: undefined }
    const started = await startGateway({ ...rt, config, log: pino({ level: 'warn' }, lines) })
    cleanUp.push(() => started.stop())
    await waitFor(() => failures > 0)
    await sending.db.exec('show', 'alter table hidden_slots rename to bind_slots')
    await untilBound(given.id)
  })

  test('two gateways that claim at once never get the same', async () => {
    const given = await carrier()
    await set(given.id, 'slots = 20')
    await sending.db.exec(
      'slots',
      'insert into bind_slots (connection_id, slot) select $1, n from generate_series(0, 19) n',
      [given.id],
    )
    const gateways = [0, 1, 2, 3].map(() => crypto.randomUUID())
    for (const gateway of gateways) {
      await sending.db.exec(
        'beat',
        `insert into heartbeats (role, instance_id, details, seen_at)
         values ('gateway', $1, '{"serving": true}', clock_timestamp())`,
        [gateway],
      )
    }
    const taken = await Promise.all(gateways.map((gateway) => claimSlots(sending.db, gateway, 5_000, [given.id])))
    const slots = taken.flatMap((shares) => shares.flatMap((share) => share.claimed))
    expect(new Set(slots).size).toBe(slots.length)
    for (const gateway of gateways) await claimSlots(sending.db, gateway, 5_000, [given.id])
    expect((await slotsOf(given.id)).filter((slot) => slot.leasedBy !== null)).toHaveLength(20)
    const [first = '', second = ''] = gateways
    const [mine] = await sending.db.many<{ slot: number }>('mine', 'select slot from bind_slots where leased_by = $1', [
      first,
    ])
    const state = { connectionId: given.id, slot: mine?.slot ?? -1, bound: true, lastError: null }
    expect(await renewSlots(sending.db, first, 5_000, [state])).toHaveLength(1)
    expect(await renewSlots(sending.db, second, 5_000, [state])).toEqual([])
  })

  test('that cannot be bound are kept where no other gateway could take them', async () => {
    const given = await carrier()
    await set(given.id, 'port = 1')
    await gateway()
    await waitFor(async () => (await slotsOf(given.id))[0]?.leasedBy)
    const since = performance.now()
    // two leases, and the turn that would have found them fruitless
    await waitFor(
      async () => {
        expect(await slotsOf(given.id)).not.toMatchObject([{ leasedBy: null }])
        return performance.now() - since > 3_600
      },
      { timeoutMs: 6_000 },
    )
  })

  test('that cannot be bound by us are left to other gateways', async () => {
    const given = await carrier()
    await set(given.id, 'port = 1')
    const another = `insert into heartbeats (role, instance_id, details, seen_at)
                     values ('gateway', $1, '{"serving": true}', clock_timestamp() + interval '1 minute')`
    await sending.db.exec('another', another, [crypto.randomUUID()])
    await gateway()
    await waitFor(async () => (await slotsOf(given.id))[0]?.leasedBy)
    await waitFor(async () => (await slotsOf(given.id))[0]?.leasedBy === null, { timeoutMs: 6_000 })
    await set(given.id, `port = ${given.port}`)
    await untilBound(given.id)
    await checkBooks(sending.db, await sending.broadcast())
  })
})
