// The only HTTP client for caller-supplied URLs. It resolves a host name once, checks all addresses, and connects only to
// these, so that a name that later resolves differently (DNS rebinding) is harmless. It returns redirects without following
// them. A connection is used once, except by requests with a `ConnectionPool`.

import type { LookupAddress } from 'node:dns'
import {
  type ClientRequest,
  type Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestHttp,
} from 'node:http'
import { type Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { SecureContext } from 'node:tls'
import { isAllowedAddress, makeRanges } from './address-ranges.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { makeResolver, type Resolve } from './name-resolver.ts'
import { makeTrustContext } from './trusted-authorities.ts'

/** Maximum size of a response's header, and of everything else that is not its body: 1xx responses, trailers, chunk sizes. */
const maxHeaderBytes = 16_384
const maxOverheadBytes = 65_536

/**
 * Time for which a connection to one of several addresses is tried, which includes one repetition of the first packet. Node's
 * default of 250 ms fails for distant servers.
 */
const connectMs = 2_500

// The ports that the Fetch standard blocks: their servers read lines, so a request could contain a command to them.
const blockedPorts = new Set(
  [
    ...[
      0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
      110,
    ],
    ...[
      111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    ],
    ...[
      540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    ],
    ...[6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080],
  ].map(String),
)

/** Returns whether a port of a URL, empty if it is that of the protocol, is never called. */
export function isBlockedPort(port: string): boolean {
  return blockedPorts.has(port)
}

export type GuardedRequest = {
  url: string
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
  /** Time limit for resolving the name, connecting, and receiving the whole response. */
  timeoutMs: number
  /** Maximum size of the response body. */
  maxBytes: number
  /** Connections that later requests reuse. */
  pool?: ConnectionPool
}

export type GuardedResponse = { status: number; headers: IncomingHttpHeaders; body: Buffer }

/** Calls a URL and returns the response, with any status; throws a FetchError if there is no response. */
export type GuardedFetch = (request: GuardedRequest) => Promise<GuardedResponse>

export type FetchErrorReason =
  | 'bad_url'
  | 'unresolved'
  | 'forbidden_address'
  | 'forbidden_port'
  | 'unreachable'
  | 'closed'
  | 'reset'
  | 'invalid_response'
  | 'invalid_certificate'
  | 'timeout'
  | 'too_large'

/** Thrown if there is no response. The message contains only the host, because the rest of the URL may contain a secret. */
export class FetchError extends Error {
  readonly reason: FetchErrorReason

  constructor(reason: FetchErrorReason, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'FetchError'
    this.reason = reason
  }
}

type Options = {
  allowed: readonly string[]
  /** File with certificates of authorities that are trusted, too. */
  extraCaFile?: string | undefined
  resolve?: Resolve
}

/** Returns a client that calls public addresses, and private addresses of the `allowed` ranges. */
export function makeGuardedFetch(options: Options): GuardedFetch {
  const resolve = options.resolve ?? makeResolver()
  const trust = options.extraCaFile === undefined ? undefined : makeTrustContext(options.extraCaFile)
  const allowed = makeRanges(options.allowed)

  const checked = async (host: string): Promise<LookupAddress[]> => {
    const addresses = await addressesOf(host, resolve)
    if (!addresses.every(({ address }) => isAllowedAddress(address, allowed))) {
      throw new FetchError('forbidden_address', `${host} resolves to a forbidden address`)
    }
    return addresses
  }

  return async (given) => {
    const url = parseUrl(given.url)
    const signal = AbortSignal.timeout(given.timeoutMs)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    // an address is not resolved, so it is checked here
    const isChecked = given.pool === undefined || isIP(host) > 0
    const lookUp: Resolve = (name) => given.pool?.lookUp(name, checked) ?? checked(name)
    const lookup = isChecked ? pinTo(await beforeTimeout(checked(host), signal, host)) : lookUpBy(lookUp)
    try {
      return await send(url, { lookup, trust, signal }, given)
    } catch (error) {
      if (error instanceof FetchError) throw error
      if (signal.aborted) throw timeoutOf(host)
      if ((error as NodeJS.ErrnoException).code === 'HPE_HEADER_OVERFLOW')
        throw tooLarge(host, 'header', maxHeaderBytes)
      if (isCertificateError(error)) {
        throw new FetchError('invalid_certificate', `the certificate of ${host} is not valid`, error)
      }
      throw brokenOf(host, error as NodeJS.ErrnoException)
    }
  }
}

/** Returns the error of a connection that failed, was ended by the server, or had something else than a response. */
function brokenOf(host: string, error: NodeJS.ErrnoException): FetchError {
  const { code = '', syscall } = error
  // Node has this code for a "socket hang up", too, without a call that failed
  if (code === 'EPIPE' || (code === 'ECONNRESET' && syscall !== undefined)) {
    return new FetchError('reset', `${host} reset the connection`, error)
  }
  if (error instanceof ClosedError || code === 'ECONNRESET') {
    return new FetchError('closed', `${host} closed the connection before the end of a response`, error)
  }
  if (code.startsWith('HPE_')) return new FetchError('invalid_response', `${host} sent a malformed response`, error)
  return new FetchError('unreachable', `${host} did not respond`, error)
}

/** Thrown if a connection was closed before the end of a response. */
class ClosedError extends Error {}

/** Returns whether the TLS library or Node rejected the certificate of a server. */
function isCertificateError(error: unknown): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/.test((error as NodeJS.ErrnoException).code ?? '')
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new FetchError('bad_url', 'URL is not an http or https address')
  }
  if (isBlockedPort(url.port)) throw new FetchError('forbidden_port', `port ${url.port} is not a port of a web server`)
  return url
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

function beforeTimeout<T>(work: Promise<T>, signal: AbortSignal, host: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(timeoutOf(host))
  signal.addEventListener('abort', onAbort)
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', onAbort))
}

function timeoutOf(host: string): FetchError {
  return new FetchError('timeout', `${host} took too long`)
}

function tooLarge(host: string, part: 'body' | 'header' | 'response', bytes: number): FetchError {
  return new FetchError('too_large', `the ${part} of ${host} has more than ${bytes} bytes`)
}

/** How a request reaches its server: `trust` verifies the certificate, undefined for the authorities of Node. */
type Route = { lookup: LookupFunction; trust: SecureContext | undefined; signal: AbortSignal }

/** Sends the request, again on a new connection if the server closed a reused one without a response. */
async function send(url: URL, route: Route, given: GuardedRequest) {
  if (!given.pool) return await sendOnce(url, route, given, false).response
  const first = sendOnce(url, route, given, given.pool.agentOf(url))
  try {
    return await first.response
  } catch (error) {
    if (!first.wasReused() || route.signal.aborted || error instanceof FetchError) throw error
    return await sendOnce(url, route, given, false).response
  }
}

function sendOnce(
  url: URL,
  { lookup, trust, signal }: Route,
  given: GuardedRequest,
  agent: HttpAgent | HttpsAgent | false,
) {
  const { method = 'GET', headers = {}, body, maxBytes } = given
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  // Node passes these on to tls.connect, but its types lack them
  const connecting = { autoSelectFamilyAttemptTimeout: connectMs, ...(trust && { secureContext: trust }) }
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const outgoing = request(url, {
    method,
    headers: { 'accept-encoding': 'identity', ...headers, ...length },
    agent,
    lookup,
    maxHeaderSize: maxHeaderBytes,
    signal,
    ...connecting,
  })
  const limit = maxBytes + maxOverheadBytes
  // the parser takes a body without a length as complete, even if the connection was reset
  let failure: Error | undefined
  let hasResponse = false
  outgoing.on('response', () => {
    hasResponse = true
  })
  outgoing.on('socket', (socket) => {
    const before = socket.bytesRead
    const onError = (error: Error) => {
      failure ??= error
    }
    // counted at the socket, because the parser passes on only a part of what it reads
    const onData = () => {
      if (failure === undefined && socket.bytesRead - before > limit) {
        socket.destroy(tooLarge(url.hostname, 'response', limit))
      }
    }
    socket.on('error', onError).on('data', onData)
    outgoing.once('close', () => socket.off('error', onError).off('data', onData))
  })
  const response = receive(outgoing, given).then(
    (received) => {
      if (signal.aborted) throw timeoutOf(url.hostname)
      if (failure) throw failure
      return received
    },
    (error) => {
      throw failure ?? error
    },
  )
  return { response, wasReused: () => outgoing.reusedSocket && !hasResponse }
}

async function receive(outgoing: ClientRequest, { body, maxBytes }: GuardedRequest): Promise<GuardedResponse> {
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on('response', resolve)
    outgoing.on('error', reject)
    // a response that switches protocols closes the connection without an error
    outgoing.on('close', () => reject(new ClosedError('the connection was closed')))
    outgoing.end(body)
  })
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw tooLarge(outgoing.host, 'body', maxBytes)
    chunks.push(chunk)
  }
  // the loop also ends if the connection was closed within the body
  if (!incoming.complete) throw incoming.errored ?? new ClosedError('the connection was closed within the body')
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

/** Returns a lookup function that resolves a name and checks its addresses for each new connection. */
function lookUpBy(checked: (host: string) => Promise<LookupAddress[]>): LookupFunction {
  return (host, options, callback) => {
    checked(host).then(
      (addresses) => pinTo(addresses)(host, options, callback),
      (error) => callback(error, []),
    )
  }
}
