// The one way out for addresses that somebody gave us. What a name means is asked once, all its addresses are looked
// at, and the connection goes to one of just those: a name that means something else a moment later gains nothing.
// Redirects are answers like any other. A connection is used once: the far side may have closed one that is kept,
// and whoever sends an event must not send it twice to find out.

import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { makeRanges, privateRanges } from './address-ranges.ts'

export type GuardedRequest = {
  url: string
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
  /** For all of it: the name, the connection, and the answer to its last byte. */
  timeoutMs: number
  /** What an answer may have at most, its headers aside. */
  maxBytes: number
}

export type GuardedResponse = { status: number; headers: IncomingHttpHeaders; body: Buffer }

/** Calls an address and answers what it says, whatever its status, or throws a FetchError. */
export type GuardedFetch = (request: GuardedRequest) => Promise<GuardedResponse>

export type FetchErrorReason = 'bad_url' | 'unresolved' | 'forbidden_address' | 'unreachable' | 'timeout' | 'too_large'

/** Why there is no answer. The message names the host and nothing else of the address, which may hold a secret. */
export class FetchError extends Error {
  readonly reason: FetchErrorReason

  constructor(reason: FetchErrorReason, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'FetchError'
    this.reason = reason
  }
}

/** All addresses of a host name. */
export type Resolve = (host: string) => Promise<LookupAddress[]>

/** A client that calls public addresses, and private ones in the `allowed` ranges. */
export function makeGuardedFetch(options: { allowed: readonly string[]; resolve?: Resolve }): GuardedFetch {
  const resolve = options.resolve ?? askSystem
  const allowed = makeRanges(options.allowed)
  const forbidden = makeRanges(privateRanges)

  return async (given) => {
    const url = parseUrl(given.url)
    const signal = AbortSignal.timeout(given.timeoutMs)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const addresses = await beforeTimeout(addressesOf(host, resolve), signal, host)
    const stray = addresses.find(({ address }) => forbidden.has(address) && !allowed.has(address))
    if (stray) throw new FetchError('forbidden_address', `${host} is at an address that may not be called`)
    try {
      return await send(url, addresses, given, signal)
    } catch (error) {
      if (error instanceof FetchError) throw error
      if (signal.aborted) throw tooLate(host)
      throw new FetchError('unreachable', `${host} did not answer`, error)
    }
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol) && url.hostname !== '') return url
  throw new FetchError('bad_url', 'not an http or https address')
}

async function addressesOf(host: string, resolve: Resolve): Promise<LookupAddress[]> {
  const family = isIP(host)
  if (family > 0) return [{ address: host, family }]
  const addresses = await resolve(host).catch((error) => {
    throw new FetchError('unresolved', `${host} is not known`, error)
  })
  if (addresses.length === 0) throw new FetchError('unresolved', `${host} has no address`)
  return addresses
}

function askSystem(host: string): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)))
  })
}

function beforeTimeout<T>(work: Promise<T>, signal: AbortSignal, host: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(tooLate(host))
  signal.addEventListener('abort', onAbort)
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', onAbort))
}

function tooLate(host: string): FetchError {
  return new FetchError('timeout', `${host} took too long`)
}

async function send(url: URL, addresses: LookupAddress[], given: GuardedRequest, signal: AbortSignal) {
  const { method = 'GET', headers = {}, body, maxBytes } = given
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const outgoing = request(url, {
    method,
    headers: { 'accept-encoding': 'identity', ...headers, ...length },
    agent: false,
    lookup: pinTo(addresses),
    signal,
  })
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on('response', resolve)
    outgoing.on('error', reject)
    // an answer that wants to speak another protocol ends without a word
    outgoing.on('close', () => reject(new Error('the connection was closed')))
    outgoing.end(body)
  })
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new FetchError('too_large', `${url.hostname} answered with more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }
}

/** In the place of a second question for the name: the answer to the first. */
function pinTo(addresses: LookupAddress[]): LookupFunction {
  return (_host, options, callback) => {
    const [first] = addresses
    if (options.all) callback(null, addresses)
    else callback(null, first?.address ?? '', first?.family)
  }
}

/**
 * Whether a text can be an address to call: absolute, http or https. Where it leads is looked at when it is called,
 * because a name can lead elsewhere by then.
 */
export function isCallbackUrl(text: string): boolean {
  return /^https?:\/\/[^\s\p{Cc}]+$/iu.test(text) && URL.canParse(text)
}
