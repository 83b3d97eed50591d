// The only HTTP client for caller-supplied URLs. It resolves a host name once, checks all addresses, and connects only to
// these, so that a name that later resolves differently (DNS rebinding) is harmless. It returns redirects without following
// them. It uses a connection once: the server may have closed a connection that is reused, and a retry could send a webhook
// event twice.

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
  /** Time limit for resolving the name, connecting, and receiving the whole response. */
  timeoutMs: number
  /** Maximum size of the response body. */
  maxBytes: number
}

export type GuardedResponse = { status: number; headers: IncomingHttpHeaders; body: Buffer }

/** Calls a URL and returns the response, with any status; throws a FetchError if there is no response. */
export type GuardedFetch = (request: GuardedRequest) => Promise<GuardedResponse>

export type FetchErrorReason = 'bad_url' | 'unresolved' | 'forbidden_address' | 'unreachable' | 'timeout' | 'too_large'

/** Thrown if there is no response. The message contains only the host, because the rest of the URL may contain a secret. */
export class FetchError extends Error {
  readonly reason: FetchErrorReason

  constructor(reason: FetchErrorReason, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'FetchError'
    this.reason = reason
  }
}

/** Resolves a host name to all its addresses. */
export type Resolve = (host: string) => Promise<LookupAddress[]>

/** Returns a client that calls public addresses, and private addresses of the `allowed` ranges. */
export function makeGuardedFetch(options: { allowed: readonly string[]; resolve?: Resolve }): GuardedFetch {
  const resolve = options.resolve ?? resolveBySystem
  const allowed = makeRanges(options.allowed)
  const forbidden = makeRanges(privateRanges)

  return async (given) => {
    const url = parseUrl(given.url)
    const signal = AbortSignal.timeout(given.timeoutMs)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const addresses = await beforeTimeout(addressesOf(host, resolve), signal, host)
    const rejected = addresses.find(({ address }) => forbidden.has(address) && !allowed.has(address))
    if (rejected) throw new FetchError('forbidden_address', `${host} resolves to a forbidden address`)
    try {
      return await send(url, addresses, given, signal)
    } catch (error) {
      if (error instanceof FetchError) throw error
      if (signal.aborted) throw timeoutOf(host)
      throw new FetchError('unreachable', `${host} did not respond`, error)
    }
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol) && url.hostname !== '') return url
  throw new FetchError('bad_url', 'URL is not an http or https address')
}

async function addressesOf(host: string, resolve: Resolve): Promise<LookupAddress[]> {
  const family = isIP(host)
  if (family > 0) return [{ address: host, family }]
  const addresses = await resolve(host).catch((error) => {
    throw new FetchError('unresolved', `${host} cannot be resolved`, error)
  })
  if (addresses.length === 0) throw new FetchError('unresolved', `${host} has no address`)
  return addresses
}

function resolveBySystem(host: string): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)))
  })
}

function beforeTimeout<T>(work: Promise<T>, signal: AbortSignal, host: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(timeoutOf(host))
  signal.addEventListener('abort', onAbort)
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', onAbort))
}

function timeoutOf(host: string): FetchError {
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
    // a response that switches protocols closes the connection without an error
    outgoing.on('close', () => reject(new Error('the connection was closed')))
    outgoing.end(body)
  })
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes)
      throw new FetchError('too_large', `the response of ${url.hostname} has more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }
}

/** Returns a lookup function that returns the checked addresses instead of resolving the name again. */
function pinTo(addresses: LookupAddress[]): LookupFunction {
  return (_host, options, callback) => {
    const [first] = addresses
    if (options.all) callback(null, addresses)
    else callback(null, first?.address ?? '', first?.family)
  }
}

/**
 * Returns whether a string is an absolute http or https URL. Its addresses are checked when it is called, because its name
 * may resolve differently then.
 */
export function isCallbackUrl(text: string): boolean {
  return /^https?:\/\/[^\s\p{Cc}]+$/iu.test(text) && URL.canParse(text)
}
