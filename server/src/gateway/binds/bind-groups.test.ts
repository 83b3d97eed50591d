import { describe, expect, test } from 'vitest'
import { phones, useCarriers } from '../../../test/carriers.ts'
import { waitFor } from '../../../test/wait-for.ts'

// Connections are rows that an operator edits while gateways follow.

const ctx = useCarriers()

describe('an edited connection', () => {
  test('keeps its bind when the window changes, and uses the new window', async () => {
    const { sending } = ctx
    const slow = await ctx.connectCarrier(() => undefined)
    await ctx.updateConnection(slow.id, '"window" = 2')
    await ctx.startGateway()
    await ctx.untilBound(slow.id)
    const session = [...slow.bound][0]
    await sending.subscribe(...phones(9))
    await sending.broadcast()
    await waitFor(() => slow.submits.length === 2)
    await ctx.updateConnection(slow.id, '"window" = 5')
    await waitFor(() => slow.submits.length === 5)
    expect([...slow.bound]).toEqual([session])
  })

  test('binds to its new address, and texts in flight get their responses from the old one', async () => {
    const { sending } = ctx
    const old = await ctx.connectCarrier(() => undefined)
    const other = await ctx.startCarrier()
    await ctx.updateConnection(old.id, '"window" = 3, response_deadline_ms = 5000')
    await ctx.startGateway()
    await ctx.untilBound(old.id)
    const [session] = [...old.bound]
    await sending.subscribe(...phones(10))
    const id = await sending.broadcast()
    await waitFor(() => old.submits.length === 3)
    await ctx.updateConnection(old.id, `port = ${other.port}`)
    await waitFor(() => other.submits.length === 7)
    expect(session?.bound).toBe(true)
    for (const [n, pdu] of old.submits.entries()) session?.respond(pdu, { message_id: `late${n}` })
    await sending.waitForCounters(id, { sent: 10 })
    await waitFor(() => old.bound.size === 0, { what: 'the old bind to close' })
  })

  test('unbinds when it is disabled and binds when it is enabled', async () => {
    const { sending } = ctx
    const carrier = await ctx.connectCarrier()
    await ctx.startGateway()
    await ctx.untilBound(carrier.id)
    await ctx.updateConnection(carrier.id, 'enabled = false')
    await waitFor(() => carrier.bound.size === 0)
    await waitFor(async () => (await ctx.slotsOf(carrier.id)).every((slot) => slot.leasedBy === null))
    await sending.subscribe(...phones(3))
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { queued: 3 })
    await ctx.updateConnection(carrier.id, 'enabled = true')
    await sending.waitForCounters(id, { sent: 3 })
  })

  test('has as many binds as it has slots', async () => {
    const carrier = await ctx.connectCarrier()
    await ctx.startGateway()
    await ctx.untilBound(carrier.id)
    await ctx.updateConnection(carrier.id, 'slots = 3')
    await waitFor(() => carrier.bound.size === 3)
    await ctx.updateConnection(carrier.id, 'slots = 2')
    await waitFor(() => carrier.bound.size === 2)
    await ctx.untilBound(carrier.id, 2)
    await waitFor(async () => (await ctx.slotsOf(carrier.id)).length === 2)
  })

  test('stores the error for which it is not bound', async () => {
    const carrier = await ctx.connectCarrier()
    await ctx.updateConnection(carrier.id, 'port = 1')
    await ctx.startGateway()
    await waitFor(async () => (await ctx.slotsOf(carrier.id))[0]?.lastError?.includes('ECONNREFUSED'))
    await ctx.updateConnection(carrier.id, `port = ${carrier.port}`)
    await ctx.untilBound(carrier.id)
    expect(await ctx.slotsOf(carrier.id)).toMatchObject([{ bound: true, lastError: null }])
  })
})

describe('bind types', () => {
  test('a pair submits through its transmitter, and only while its receiver is bound', async () => {
    const { sending } = ctx
    const carrier = await ctx.connectCarrier()
    await ctx.updateConnection(carrier.id, `bind_type = 'pair'`)
    await ctx.startGateway()
    await ctx.untilBound(carrier.id)
    const states = () => [...carrier.bound].map((session) => session.state).sort()
    expect(states()).toEqual(['bound_rx', 'bound_tx'])
    await sending.subscribe(...phones(3))
    await sending.waitForCounters(await sending.broadcast(), { sent: 3 })
    for (const session of carrier.bound) if (session.state === 'bound_rx') session.destroy()
    await waitFor(() => states().join() === 'bound_rx,bound_tx')
  })

  test('a receiver is bound and submits nothing', async () => {
    const { sending } = ctx
    const carrier = await ctx.connectCarrier()
    await ctx.updateConnection(carrier.id, `bind_type = 'receiver'`)
    await ctx.startGateway()
    await ctx.untilBound(carrier.id)
    await sending.subscribe(...phones(1))
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { queued: 1 })
    await ctx.updateConnection(carrier.id, `bind_type = 'transmitter'`)
    await sending.waitForCounters(id, { sent: 1 })
  })
})
