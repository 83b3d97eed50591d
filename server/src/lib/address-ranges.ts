import { BlockList, isIP } from 'node:net'

/** This machine. */
export const loopbackRanges = ['127.0.0.0/8', '::1/128']

/**
 * Where no caller may send us: this machine, private networks, links, the metadata of clouds, and whatever else the
 * registries of special addresses (RFC 6890) do not call global, the ways from IPv6 to IPv4 included.
 */
export const privateRanges = [
  ...loopbackRanges,
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24'],
  ...['192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4'],
  ...['240.0.0.0/4', '::/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '2002::/16'],
  ...['3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
  // Azure's metadata answers at an address that looks public
  '168.63.129.16/32',
]

export type Ranges = { has(address: string): boolean }

/** Ranges as 10.0.0.0/8 or fd00::/8; a bare address means itself. An IPv4 address is found in its IPv6 dress, too. */
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

/** Whether a host that was typed is this machine beyond doubt; other names for it are not resolved. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
