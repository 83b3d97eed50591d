import { BlockList, isIP } from 'node:net'

/** The addresses of this machine. */
export const loopbackRanges = ['127.0.0.0/8', '::1/128']

/**
 * Addresses that a caller-supplied URL must not reach: this machine, private networks, link-local addresses, cloud metadata
 * services, and every other range that is not global in the registries of RFC 6890, including ranges that map IPv6 to IPv4.
 */
export const privateRanges = [
  ...loopbackRanges,
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24'],
  ...['192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4'],
  ...['240.0.0.0/4', '::/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '2002::/16'],
  ...['3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
  // the metadata service of Azure has a public address
  '168.63.129.16/32',
]

export type Ranges = { has(address: string): boolean }

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
