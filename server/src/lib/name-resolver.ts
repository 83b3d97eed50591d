// Resolves the host names of URLs that callers set. `dns.lookup` would use the four threads that libuv shares with the file
// system, and a name whose server does not respond occupies one for many seconds; these queries occupy none.

import type { LookupAddress } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { HostsFile } from './hosts-file.ts'

/** Resolves a host name to all its addresses; throws if it has none. */
export type Resolve = (host: string) => Promise<LookupAddress[]>

export type ResolverOptions = {
  /** Addresses of name servers, as `address` or `address:port`; by default those of the system. */
  servers?: readonly string[]
  hostsFile?: string
  /** Time limit of a look-up. */
  maxMs?: number
  /** Time for which addresses of one family wait for those of the other one. */
  otherFamilyMs?: number
}

/** Time until a query is sent again, and to the next name server. */
const queryTimeoutMs = 1_500

/**
 * Returns a resolver that reads the hosts file and then queries name servers. Names are complete: search domains are not
 * appended. A look-up has a channel of its own, so no other one waits for it, and its end closes all its queries.
 */
export function makeResolver(options: ResolverOptions = {}): Resolve {
  const { servers, hostsFile = '/etc/hosts', maxMs = 5_000, otherFamilyMs = 500 } = options
  const hosts = new HostsFile(hostsFile)
  return async (host) => {
    const name = host.toLowerCase().replace(/\.$/, '')
    const listed = await hosts.addressesOf(name)
    if (listed.length > 0) return listed
    // RFC 6761: a query would leak the name to servers that do not know it
    if (/(^|\.)localhost$/.test(name)) return loopback
    const resolver = new Resolver({ timeout: queryTimeoutMs, tries: 2 })
    if (servers) resolver.setServers(servers)
    const ended = new AbortController()
    const limit = delay(maxMs, undefined, { signal: ended.signal, ref: false }).then(() => resolver.cancel())
    limit.catch(() => {})
    try {
      return await queryBoth(resolver, host, { otherFamilyMs, signal: ended.signal })
    } finally {
      ended.abort()
      resolver.cancel()
    }
  }
}

const loopback: LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]

/**
 * Queries addresses of both families, and returns those of version 4 first. Some name servers do not respond to a query for
 * one family, so the addresses of the other one do not wait for long.
 */
async function queryBoth(
  resolver: Resolver,
  host: string,
  { otherFamilyMs, signal }: { otherFamilyMs: number; signal: AbortSignal },
): Promise<LookupAddress[]> {
  const found: Record<4 | 6, LookupAddress[]> = { 4: [], 6: [] }
  const query = async (family: 4 | 6) => {
    const addresses = await (family === 4 ? resolver.resolve4(host) : resolver.resolve6(host))
    found[family] = addresses.map((address) => ({ address, family }))
  }
  const queries = [query(4), query(6)]
  await Promise.any(queries).catch(({ errors }: AggregateError) => Promise.reject(errors[0]))
  await Promise.race([Promise.allSettled(queries), delay(otherFamilyMs, undefined, { signal, ref: false })])
  return [...found[4], ...found[6]]
}
