import { expect, test } from 'vitest'
import { FrameError, Framer } from './framer.ts'
import { encodePdu } from './pdu/codec.ts'
import { enquireLink, submitSm } from './pdu/pdu.ts'

const one = encodePdu(submitSm({ destination_addr: '12065550100', short_message: Buffer.from('hello') }))
const two = encodePdu(enquireLink())
const three = encodePdu(submitSm({ destination_addr: '12065550101', short_message: Buffer.from('goodbye') }))
const stream = Buffer.concat([one, two, three])

test('returns the same PDUs for every split of a stream in two and in three', () => {
  for (let first = 0; first <= stream.length; first++) {
    for (let second = first; second <= stream.length; second += first % 7 === 0 ? 1 : 11) {
      const framer = new Framer()
      const frames = [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)].flatMap(
        (chunk) => framer.push(chunk),
      )
      expect(frames).toEqual([one, two, three])
    }
  }
})

test('returns each PDU at its last octet if the stream arrives octet by octet', () => {
  const framer = new Framer()
  const completedAt = new Map<number, Buffer>()
  stream.forEach((octet, at) => {
    for (const frame of framer.push(Buffer.from([octet]))) completedAt.set(at + 1, frame)
  })
  expect([...completedAt]).toEqual([
    [one.length, one],
    [one.length + two.length, two],
    [stream.length, three],
  ])
})

test('throws for a command_length below 16 or above the maximum as soon as it is read', () => {
  for (const length of [0, 15, 70_000, 0xffff_ffff]) {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(length)
    expect(() => new Framer().push(bytes)).toThrow(FrameError)
  }
  expect(() => new Framer(20).push(Buffer.from('00000015', 'hex'))).toThrow(FrameError)
  expect(new Framer(20).push(Buffer.from('00000014', 'hex'))).toEqual([])
})

test('returns the whole PDUs before the malformed one with the error', () => {
  const framer = new Framer()
  const error = (() => {
    try {
      framer.push(Buffer.concat([one, two, Buffer.alloc(4)]))
    } catch (caught) {
      return caught as FrameError
    }
  })()
  expect(error?.frames).toEqual([one, two])
})
