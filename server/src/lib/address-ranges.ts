import { BlockList, isIP } from 'node:net'

/** The addresses of this machine. */
export const loopbackRanges = ['127.0.0.0/8', '::1/128']

/** The only IPv6 range that is assigned as global unicast; the rest is private, special, or maps IPv6 to IPv4. */
const globalRanges6 = ['2000::/3']

/**
 * Ranges without public hosts: all IPv4 entries of IANA's registry of special-purpose addresses and multicast, and those
 * IPv6 entries that are within 2000::/3. The registry was read on 2026-11-29.
 */
const specialRanges = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.31.196.0/24', '192.52.193.0/24', '192.88.99.0/24', '192.168.0.0/16', '192.175.48.0/24'],
  ...['198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20'],
  // the metadata service of Azure has a public address
  '168.63.129.16/32',
]

const global6 = makeRanges(globalRanges6)
const special = makeRanges(specialRanges)

/**
 * Returns whether an address is that of a public host, which a caller-supplied URL may reach. All others are forbidden: this
 * machine, private networks, link-local addresses, metadata services of clouds, IPv6 addresses that contain an IPv4 address,
 * addresses with a zone, and anything that is not an address.
 */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return !special.has(address)
  if (family !== 6 || address.includes('%')) return false
  return global6.has(address) && !special.has(address) && !isIsatap(address)
}

/** Returns whether an IPv6 address is that of an ISATAP tunnel (RFC 5214), whose last four bytes are an IPv4 address. */
function isIsatap(address: string): boolean {
  // the URL parser writes an address in its canonical form
  return /:(0|200)?:5efe:[\da-f]*:[\da-f]*$/.test(new URL(`http://[${address}]`).hostname.slice(1, -1))
}

export type Ranges = { has(address: string): boolean }

/** Returns whether a caller-supplied URL may reach an address: a public host, or one of the `allowed` private ranges. */
export function isAllowedAddress(address: string, allowed: Ranges): boolean {
  return isPublicAddress(address) || (isIP(address) > 0 && allowed.has(address))
}

/** Returns a matcher of ranges such as 10.0.0.0/8, fd00::/8 or a single address; IPv4-mapped IPv6 addresses also match. */
export function makeRanges(cidrs: readonly string[]): Ranges {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/')
    const family = familyOf(address)
    list.addSubnet(address, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family)
  }
  return { has: (address) => list.check(address, familyOf(address)) }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}

/** Returns whether a host name certainly means this machine, without resolving it. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
