import { describe, expect, test } from 'vitest'
import { deliverBytes, useDeliveries } from '../../../test/deliveries.ts'
import { stopLayouts } from '../../../test/stop-layouts.ts'
import type { Session } from '../../smpp/session.ts'

// Mutates real layouts of a STOP in ways that leave the word in them: none may be lost, whatever else is wrong.

const ctx = useDeliveries()

function randomFrom(seed: number) {
  let state = seed >>> 0
  return (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % limit
  }
}

type Random = (limit: number) => number
const octets = (random: Random, length: number) => Buffer.from(Array.from({ length }, () => random(256)))

function append(bytes: Buffer, more: Buffer): Buffer {
  const longer = Buffer.concat([bytes, more])
  longer.writeUInt32BE(longer.length)
  return longer
}

/** Octets behind the PDU that are no text: half a TLV, a TLV of a vendor, a truncated one, zeros, noise. */
const tails: [string, (random: Random) => Buffer][] = [
  ['a zero', () => Buffer.alloc(1)],
  ['zeros', (random) => Buffer.alloc(1 + random(8))],
  ['half a TLV header', (random) => Buffer.from([0x14, random(256), 0]).subarray(0, 1 + random(3))],
  ['a truncated TLV', (random) => Buffer.concat([Buffer.from([0x14, random(256), 0, 40]), octets(random, random(40))])],
  ['a TLV that repeats', () => Buffer.from('0204000200070204000200080427000400000002', 'hex')],
  ['TLVs of wrong lengths', () => Buffer.from('020400010704230002000104220003010203', 'hex')],
  [
    'a TLV of a vendor',
    (random) => {
      const value = octets(random, random(30))
      return Buffer.concat([Buffer.from([0x14, random(256), 0, value.length]), value])
    },
  ],
]

/** Changes fields before the text that do not decide what a text is: TON, NPI, protocol, priority, flags. */
function disturb(bytes: Buffer, random: Random): Buffer {
  const changed = Buffer.from(bytes)
  changed[17] = random(256)
  changed[18] = random(256)
  const source = changed.indexOf(0, 19)
  changed[source + 1] = random(256)
  changed[source + 2] = random(256)
  const destination = changed.indexOf(0, source + 3)
  // protocol_id, priority_flag; then registered_delivery, replace_if_present_flag
  for (const at of [2, 3, 6, 7]) changed[destination + at] = random(256)
  return changed
}

describe.each(stopLayouts)('%s', (layout, given) => {
  test('is obeyed, also when it is malformed', async () => {
    const random = randomFrom(layout.length * 7_919)
    const base = deliverBytes({ destination: ctx.shortCode, ...given })
    const mutants: [string, Buffer][] = [['as it is', base]]
    for (const [name, tail] of tails) mutants.push([name, append(disturb(base, random), tail(random))])
    for (const [name, bytes] of mutants) {
      await ctx.db.exec('forget', 'with gone as (delete from blocks) delete from inbound_messages')
      expect([name, await ctx.receive(bytes, { bound: true } as Session)]).toEqual([name, 0])
      expect([name, await ctx.isBlocked()]).toEqual([name, true])
    }
  })
})

test('there are at least 40 layouts', () => {
  expect(stopLayouts.length).toBeGreaterThanOrEqual(40)
})
