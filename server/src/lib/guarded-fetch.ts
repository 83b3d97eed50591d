// The only HTTP client for caller-supplied URLs. It resolves a host name once, checks all addresses, and connects only to
// these, so that a name that later resolves differently (DNS rebinding) is harmless. It returns redirects without following
// them. It uses a connection once: the server may have closed a connection that is reused, and a retry could send a webhook
// event twice.

import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { isPublicAddress, makeRanges } from './address-ranges.ts'

/** Maximum size of a response's header, and of everything else that is not its body: 1xx responses, trailers, chunk sizes. */
const maxHeaderBytes = 16_384
const maxOverheadBytes = 65_536

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

export type FetchErrorReason =
  | 'bad_url'
  | 'unresolved'
  | 'forbidden_address'
  | 'forbidden_port'
  | 'unreachable'
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

/** Resolves a host name to all its addresses. */
export type Resolve = (host: string) => Promise<LookupAddress[]>

/** Returns a client that calls public addresses, and private addresses of the `allowed` ranges. */
export function makeGuardedFetch(options: { allowed: readonly string[]; resolve?: Resolve }): GuardedFetch {
  const resolve = options.resolve ?? resolveBySystem
  const allowed = makeRanges(options.allowed)

  return async (given) => {
    const url = parseUrl(given.url)
    const signal = AbortSignal.timeout(given.timeoutMs)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const addresses = await beforeTimeout(addressesOf(host, resolve), signal, host)
    if (!addresses.every(({ address }) => isPublicAddress(address) || (isIP(address) > 0 && allowed.has(address)))) {
      throw new FetchError('forbidden_address', `${host} resolves to a forbidden address`)
    }
    try {
      return await send(url, addresses, given, signal)
    } catch (error) {
      if (error instanceof FetchError) throw error
      if (signal.aborted) throw timeoutOf(host)
      if ((error as NodeJS.ErrnoException).code === 'HPE_HEADER_OVERFLOW')
        throw tooLarge(host, 'header', maxHeaderBytes)
      throw new FetchError('unreachable', `${host} did not respond`, error)
    }
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new FetchError('bad_url', 'URL is not an http or https address')
  }
  if (blockedPorts.has(url.port))
    throw new FetchError('forbidden_port', `port ${url.port} is not a port of a web server`)
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

function tooLarge(host: string, part: 'body' | 'header' | 'response', bytes: number): FetchError {
  return new FetchError('too_large', `the ${part} of ${host} has more than ${bytes} bytes`)
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
    maxHeaderSize: maxHeaderBytes,
    signal,
  })
  const limit = maxBytes + maxOverheadBytes
  // the parser takes a body without a length as complete, even if the connection was reset
  let failure: Error | undefined
  outgoing.on('socket', (socket) => {
    socket.on('error', (error) => {
      failure ??= error
    })
    // counted at the socket, because the parser passes on only a part of what it reads
    socket.on('data', () => {
      if (failure === undefined && socket.bytesRead > limit) socket.destroy(tooLarge(url.hostname, 'response', limit))
    })
  })
  const response = await receive(outgoing, given).catch((error) => {
    throw failure ?? error
  })
  if (signal.aborted) throw timeoutOf(url.hostname)
  if (failure) throw failure
  return response
}

async function receive(outgoing: ClientRequest, { body, maxBytes }: GuardedRequest): Promise<GuardedResponse> {
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
    if (size > maxBytes) throw tooLarge(outgoing.host, 'body', maxBytes)
    chunks.push(chunk)
  }
  // the loop also ends if the connection was closed within the body
  if (!incoming.complete) throw incoming.errored ?? new Error('the connection was closed within the body')
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
