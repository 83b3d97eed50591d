import { describe, expect, test } from 'vitest'
import { golden } from '../../../test/golden-pdus.ts'
import { Framer } from '../framer.ts'
import { decodePdu, encodePdu } from './codec.ts'
import { type Command, commands } from './commands.ts'

describe('golden bytes', () => {
  test.each(golden)('encode and decode: %s', (_clause, bytes, pdu) => {
    expect(encodePdu(pdu).toString('hex')).toBe(bytes.toString('hex'))
    expect(decodePdu(bytes)).toEqual(pdu)
  })
})

test('the framer returns all golden PDUs of a stream that is split at any octet', () => {
  const stream = Buffer.concat(golden.map(([, bytes]) => bytes))
  const pdus = golden.map(([, , pdu]) => pdu)
  for (let cutAt = 0; cutAt <= stream.length; cutAt++) {
    const framer = new Framer()
    const frames = [...framer.push(stream.subarray(0, cutAt)), ...framer.push(stream.subarray(cutAt))]
    expect(frames.map(decodePdu)).toEqual(pdus)
  }
})

test('every command of the table has golden bytes, or the same layout as one that has', () => {
  const binds = ['bind_receiver', 'bind_receiver_resp', 'bind_transmitter_resp', 'bind_transceiver']
  const sameLayout = [...binds, 'unbind_resp', 'enquire_link_resp', 'data_sm_resp']
  const withGolden = new Set(golden.map(([, , pdu]) => pdu.command))
  expect(Object.keys(commands).filter((command) => !withGolden.has(command as Command))).toEqual(
    Object.keys(commands).filter((command) => sameLayout.includes(command)),
  )
})
