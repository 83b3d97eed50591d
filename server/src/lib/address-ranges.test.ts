import { describe, expect, test } from 'vitest'
import { isPublicAddress, makeRanges } from './address-ranges.ts'

describe('an address is not public', () => {
  test.each([
    ['of this machine', '127.0.0.1', '127.255.255.254', '0.0.0.0', '::1', '::'],
    ['of a private network', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', 'fc00::1'],
    ['of a link', '169.254.1.1', 'fe80::1', 'febf::1', 'fec0::1'],
    ['of a metadata service', '169.254.169.254', '100.100.100.200', '168.63.129.16', '192.0.0.192', 'fd00:ec2::254'],
    ['of a special purpose', '192.0.0.1', '198.19.0.1', '192.31.196.1', '192.88.99.1', '2620:4f:8000::1', '3fff::1'],
    ['of a documentation range', '192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1'],
    ['of a multicast group', '224.0.0.1', '255.255.255.255', 'ff02::1'],
    ['with a mapped IPv4 address', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:8.8.8.8'],
    ['with a compatible IPv4 address', '::127.0.0.1', '::7f00:1'],
    ['with a translated IPv4 address', '::ffff:0:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::7f00:1', '64:ff9b:2::1'],
    ['of a tunnel', '2002:7f00:1::', '2001::1', '2001:0:4136:e378:8000:63bf:3fff:fdd2'],
    ['of an ISATAP tunnel', '2a00::5efe:7f00:1', '2a00:1:2:3:0:5efe:127.0.0.1', '2a00:1:2:3:200:5efe:a00:1'],
    ['of an ISATAP tunnel to zero', '2a00:1:2:3:200:5efe::', 'fe80::5efe:7f00:1'],
    ['outside of 2000::/3', '100::1', '100:0:0:1::1', '200::1', '1fff:ffff::1', '4000::1', '5f00::1', '8000::1'],
    ['with a zone', 'fe80::1%eth0', '2a00::1%eth0', '2a00::1%1'],
    [
      'but a name or another spelling',
      'localhost',
      '127.1',
      '0x7f.1',
      '2130706433',
      '0177.0.0.1',
      '',
      '[::1]',
      '8.8.8.8.',
    ],
  ])('%s', (_of, ...addresses) => {
    expect(addresses.filter(isPublicAddress)).toEqual([])
  })
})

test('the addresses of public hosts are public, also next to a special range', () => {
  const addresses = [
    '8.8.8.8',
    '172.32.0.1',
    '172.15.255.255',
    '100.128.0.1',
    '168.63.129.17',
    '1.0.0.0',
    '223.255.255.255',
  ]
  const addresses6 = [
    '2606:4700::1111',
    '2a00::1',
    '2000::1',
    '3ffe::1',
    '2001:200::1',
    '2003::1',
    '2a00::5efe:1:2:3',
    '2a00:0:0:0:1:5efe::1',
  ]
  expect([...addresses, ...addresses6].filter((address) => !isPublicAddress(address))).toEqual([])
})

test('the rule equals another implementation of it, for addresses at and around all borders', () => {
  const failed: string[] = []
  for (const address of [...generate4(), ...generate6()]) {
    if (isPublicAddress(address.text) !== address.isPublic) failed.push(address.text)
  }
  expect(failed).toEqual([])
})

// The rule as prefixes of bits, compared as numbers.

const special4: [string, number][] = [
  ...([
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
  ] as [string, number][]),
  ...([
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['192.31.196.0', 24],
  ] as [string, number][]),
  ...([
    ['192.52.193.0', 24],
    ['192.88.99.0', 24],
    ['192.168.0.0', 16],
    ['192.175.48.0', 24],
  ] as [string, number][]),
  ...([
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
    ['224.0.0.0', 3],
  ] as [string, number][]),
  ['168.63.129.16', 32],
]

/** First 16-bit groups of a range, and its length in bits. */
const special6: [number[], number][] = [
  [[0x2001], 23],
  [[0x2001, 0xdb8], 32],
  [[0x2002], 16],
  [[0x2620, 0x4f, 0x8000], 48],
  [[0x3fff], 20],
]

const number4 = (text: string) => text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n)
const number6 = (groups: number[]) =>
  Array.from({ length: 8 }, (_, i) => groups[i] ?? 0).reduce((sum, group) => sum * 65_536n + BigInt(group), 0n)
const isWithin = (value: bigint, base: bigint, bits: number, width: number) =>
  value >> BigInt(width - bits) === base >> BigInt(width - bits)

function around(bases: [bigint, number][], width: number): bigint[] {
  const max = (1n << BigInt(width)) - 1n
  const borders = bases.flatMap(([base, bits]) => [base, base + (1n << BigInt(width - bits)) - 1n])
  const random = Array.from({ length: 5_000 }, (_, i) => mixed(i, width))
  const near = borders.flatMap((border) => [-2n, -1n, 0n, 1n, 2n].map((step) => border + step))
  return [...near, ...random].filter((value) => value >= 0n && value <= max)
}

/** Returns the same spread number for the same index. */
function mixed(index: number, width: number): bigint {
  let value = BigInt(index) + 1n
  for (let round = 0; round < 4; round++)
    value = BigInt.asUintN(width, (value ^ (value >> 31n)) * 0x9e3779b97f4a7c15f39cc0605cedc835n)
  return value
}

function generate4() {
  const bases = special4.map(([text, bits]) => [number4(text), bits] as [bigint, number])
  return around(bases, 32).map((value) => ({
    text: [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.'),
    isPublic: !bases.some(([base, bits]) => isWithin(value, base, bits, 32)),
  }))
}

function generate6() {
  const bases = special6.map(([groups, bits]) => [number6(groups), bits] as [bigint, number])
  const global: [bigint, number] = [0x2000n << 112n, 3]
  const values = around([...bases, global], 128)
  // most random values are outside of 2000::/3, so the same ones are also tried inside
  const inside = values.map((value) => (value & ((1n << 125n) - 1n)) | (1n << 125n))
  return [...values, ...inside].map((value) => {
    const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 65_535n))
    const isTunnel = (groups[4] === 0 || groups[4] === 0x200) && groups[5] === 0x5efe
    return {
      text: groups.map((group) => group.toString(16)).join(':'),
      isPublic: value >> 125n === 1n && !bases.some(([base, bits]) => isWithin(value, base, bits, 128)) && !isTunnel,
    }
  })
}

test('a range without a prefix length is a single address', () => {
  const ranges = makeRanges(['10.0.0.1', 'fd00::1', '10.2.0.0/16'])
  expect(['10.0.0.1', 'fd00::1', '10.2.3.4'].map((address) => ranges.has(address))).toEqual([true, true, true])
  expect(['10.0.0.2', 'fd00::2', '10.3.0.0'].map((address) => ranges.has(address))).toEqual([false, false, false])
})
