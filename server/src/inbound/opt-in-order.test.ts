import { describe, expect, test } from 'vitest'
import { clock, code, phone, useOptInTexts } from '../../test/opt-in-texts.ts'
import type { Db } from '../db/db.ts'
import { optOutByCarrier } from '../receipts/carrier-opt-outs.ts'

// STOP and START in any order, from several gateways, and copies of MOs: the last text of the person decides.

const { at, text, interpret, receive, subscribe, broadcast, submit, isBlocked, stateOn, kinds, ledger, replies } =
  useOptInTexts()

describe('in order of arrival', () => {
  test.each([
    [['STOP', 'START', 'STOP'], true, ['opt_out', 'opt_in', 'block_lifted', 'opt_out']],
    [['STOP', 'START'], false, ['opt_out', 'opt_in', 'block_lifted']],
    [
      ['STOP', 'start', 'stop', 'Start'],
      false,
      ['opt_out', 'opt_in', 'block_lifted', 'opt_out', 'opt_in', 'block_lifted'],
    ],
    [['START', 'STOP'], true, ['opt_out']],
  ])('%j in one second, with two gateways', async (contents, blocked, expected) => {
    await subscribe(at.soup)
    for (const content of contents) await text(content)
    await Promise.all([interpret(), interpret()])
    await interpret()
    expect(await isBlocked()).toBe(blocked)
    expect(await stateOn(at.soup)).toBe(blocked ? 'unsubscribed' : 'subscribed')
    expect((await ledger()).map((row) => row.split(' ')[0])).toEqual(expected)
    // each STOP ends a list, and is confirmed
    expect(await replies()).toHaveLength(expected.filter((kind) => kind === 'opt_out').length)
  })

  test('a START that is committed after a newer STOP was applied lifts nothing', async () => {
    await receive('STOP')
    await at.database.db.tx(async (tx) => {
      await text('START', {}, tx)
      await receive('STOP')
    })
    await interpret()
    expect(await isBlocked()).toBe(true)
    expect(await kinds()).toEqual(['opt_out', 'other', 'opt_out'])
  })

  test('a newer STOP to a destination that is not ours counts as well', async () => {
    await receive('STOP')
    await at.database.db.tx(async (tx) => {
      await text('START', {}, tx)
      await text('STOP', { to: '5577777' })
      await interpret()
    })
    await interpret()
    expect(await isBlocked()).toBe(true)
  })

  test('an opt-out at the carrier counts from its receipt: only a later START lifts it', async () => {
    await text('START')
    const bounce = { logId: 1, phone, shortCode: code, carrierStatus: 'opted out' }
    await at.database.db.tx((tx) => optOutByCarrier(tx, [bounce], clock.time))
    await interpret()
    expect(await isBlocked()).toBe(true)
    await receive('START')
    expect(await isBlocked()).toBe(false)
  })

  test.each([code, '5577777'])('a START waits for the confirmation of a STOP to %s', async (to) => {
    await subscribe(at.soup)
    await broadcast(at.soup)
    const { respond } = await submit()
    await text('STOP', { to })
    await text('START')
    await interpret()
    expect(await isBlocked()).toBe(true)
    await respond()
    await interpret()
    expect(await isBlocked()).toBe(false)
    expect(await kinds()).toEqual(['opt_out', 'opt_in'])
  })
})

describe('an MO that arrives again', () => {
  test('a START that was applied lifts nothing twice', async () => {
    await receive('STOP')
    await text('START', { deliveryKey: 'a' })
    await interpret()
    await receive('STOP')
    await text('START', { deliveryKey: 'a' })
    await interpret()
    expect(await isBlocked()).toBe(true)
    expect((await ledger()).filter((row) => row.startsWith('block_lifted'))).toHaveLength(1)
  })

  test('a START whose gateway died before its commit is applied once', async () => {
    await subscribe(at.soup)
    await receive('STOP')
    await text('START', { deliveryKey: 'a' })
    const died = new Error('killed')
    const dying: Db = {
      ...at.database.db,
      tx: (work) =>
        at.database.db.tx(async (tx) => {
          const result = await work(tx)
          if ((await tx.many('lifted', `select from opts where kind = 'block_lifted'`)).length > 0) throw died
          return result
        }),
    }
    await interpret(dying)
    expect(await isBlocked()).toBe(true)
    await text('START', { deliveryKey: 'a' })
    await interpret()
    expect(await isBlocked()).toBe(false)
    expect((await ledger()).filter((row) => row.startsWith('opt_in'))).toHaveLength(1)
  })

  test('a copy of a STOP stops the START that has not been applied yet, because it may be a newer STOP', async () => {
    await text('STOP', { deliveryKey: 'a' })
    await interpret()
    await text('START')
    await text('STOP', { deliveryKey: 'a' })
    await interpret()
    expect(await isBlocked()).toBe(true)
    await receive('START')
    expect(await isBlocked()).toBe(false)
  })
})
