import { describe, expect, test } from 'vitest'
import { makeRanges, privateRanges } from './address-ranges.ts'

describe('private ranges', () => {
  const ranges = makeRanges(privateRanges)

  test.each([
    ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
    ...[
      '169.254.169.254',
      '100.100.100.200',
      '168.63.129.16',
      '192.0.0.1',
      '198.19.0.1',
      '224.0.0.1',
      '255.255.255.255',
    ],
    ...[
      '::',
      '::1',
      '::ffff:127.0.0.1',
      '::ffff:a00:1',
      '::127.0.0.1',
      'fe80::1',
      'fc00::1',
      'fd00:ec2::254',
      'ff02::1',
    ],
    ...['64:ff9b::7f00:1', '2002:7f00:1::', '2001::1', '2001:db8::1'],
  ])('contain %s', (address) => expect(ranges.has(address)).toBe(true))

  test.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '168.63.129.17', '2606:4700::1111', '::ffff:8.8.8.8', '2a00::1'])(
    'do not contain %s',
    (address) => expect(ranges.has(address)).toBe(false),
  )
})

test('a range without a prefix length is a single address', () => {
  const ranges = makeRanges(['10.0.0.1', 'fd00::1', '10.2.0.0/16'])
  expect(['10.0.0.1', 'fd00::1', '10.2.3.4'].map((address) => ranges.has(address))).toEqual([true, true, true])
  expect(['10.0.0.2', 'fd00::2', '10.3.0.0'].map((address) => ranges.has(address))).toEqual([false, false, false])
})
