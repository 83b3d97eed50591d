import type { IncomingHttpHeaders } from 'node:http'

// What the log of attempts stores of a request and its response: nothing that a reader of the log could use to sign or to call.

/** The URL has no query; the values of headers that may be secret are hidden. */
export type LoggedRequest = { url: string | null; headers: Record<string, string> }
export type LoggedResponse = { headers: Record<string, string>; body: Buffer }

/** Replaces the value of a header that the log does not show. */
export const hiddenValue = '[hidden]'

/** The headers of every delivery whose values are shown; all others may be secret. */
const shownHeaders = new Set([
  'content-type',
  'user-agent',
  'webhook-id',
  'webhook-timestamp',
  'carillon-after-dead-letter',
])

/** Headers of responses that may be secret. */
const hiddenResponseHeaders = /cookie|auth|secret|token|key/i

const maxResponseHeaders = 40
const maxHeaderLength = 256

/** Maximum bytes of the body that are stored: few of a success, because failures are rare. */
const maxBytes = 65_536
const maxSuccessBytes = 4_096

const minSecretLength = 8

/** Maximum number of values and words that are looked for: 50 that all occur in 64 KB take about 10 ms, in the 4 KB of a success less than 1. */
const maxSecrets = 50

/** Returns a URL without its query, fragment, user name and password; null if it is malformed. */
export function shownUrl(text: string): string | null {
  if (!URL.canParse(text)) return null
  const url = new URL(text)
  return `${url.protocol}//${url.host}${url.pathname}`
}

/** Returns what the log stores of a request. */
export function logRequest(url: string, headers: Record<string, string>): LoggedRequest {
  const shown = Object.entries(headers).map(([name, value]) => [
    name,
    shownHeaders.has(name.toLowerCase()) ? value : hiddenValue,
  ])
  return { url: shownUrl(url), headers: Object.fromEntries(shown) }
}

/** The request of a response, whose secrets a receiver may repeat in it. */
type SentRequest = { url: string; headers: Record<string, string> }

/**
 * Returns what the log stores of a response: its first headers and its body, of which a success has at most 4 KB. Hidden values of the
 * request that the receiver repeats are replaced.
 */
export function logResponse(
  received: { status: number; headers: IncomingHttpHeaders; body: Buffer },
  request: SentRequest,
): LoggedResponse {
  const secrets = secretsOf(request)
  const headers = Object.entries(received.headers)
    .slice(0, maxResponseHeaders)
    .map(([name, value]) => {
      const text = hiddenResponseHeaders.test(name) ? hiddenValue : without(secrets, String(value))
      return [name.slice(0, maxHeaderLength), text.slice(0, maxHeaderLength)]
    })
  const isSuccess = received.status >= 200 && received.status <= 299
  const body = firstBytes(received.body, isSuccess ? maxSuccessBytes : maxBytes, secrets)
  return { headers: Object.fromEntries(headers), body }
}

/** Returns up to `limit` bytes of a body without secrets, of which none is cut, because a part of one would not be found. */
function firstBytes(body: Buffer, limit: number, secrets: string[]): Buffer {
  const longest = Math.max(0, ...secrets.map((secret) => Buffer.byteLength(secret)))
  const searched = body.subarray(0, limit + longest)
  const found = withoutInBody(secrets, searched)
  // the end may be the beginning of a secret
  const end = searched.length < body.length ? found.length - longest : found.length
  return found.subarray(0, Math.min(limit, Math.max(0, end)))
}

/** Returns the hidden values of a request and their words, the longest first; short ones could be part of any text. */
function secretsOf({ url, headers }: SentRequest): string[] {
  const hidden = Object.entries(headers).flatMap(([name, value]) => (shownHeaders.has(name.toLowerCase()) ? [] : value))
  const query = URL.parse(url)?.search.slice(1) ?? ''
  const values = [...hidden, query].flatMap((value) => [value, ...value.split(/[\s,&=]+/)])
  return [...new Set(values)]
    .filter(({ length }) => length >= minSecretLength)
    .sort((a, b) => b.length - a.length)
    .slice(0, maxSecrets)
}

const without = (secrets: string[], text: string) =>
  secrets.reduce((rest, secret) => rest.replaceAll(secret, hiddenValue), text)

function withoutInBody(secrets: string[], body: Buffer): Buffer {
  const found = secrets.filter((secret) => body.includes(secret))
  if (found.length === 0) return body
  // latin1 has a character for each byte, so other bytes remain as they are
  const bytes = found.map((secret) => Buffer.from(secret).toString('latin1'))
  return Buffer.from(without(bytes, body.toString('latin1')), 'latin1')
}
