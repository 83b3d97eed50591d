import type { IncomingHttpHeaders } from 'node:http'
import { HiddenValues, hiddenValue } from './hidden-values.ts'

// What the log of attempts stores of a request and its response: nothing that a reader of the log could use to sign or to call.

/** The URL has no query; the values of headers that may be secret are hidden. */
export type LoggedRequest = { url: string | null; headers: Record<string, string> }
export type LoggedResponse = { headers: Record<string, string>; body: Buffer }

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

/** Headers of responses whose value has a URL, which may be relative. */
const headersWithUrl = /^(location|content-location|refresh|link|referer)$/i

const maxResponseHeaders = 40
const maxHeaderLength = 256

/** Maximum characters of a header that are searched for secrets and queries, because a pattern needs the square of their number. */
const maxSearched = 1_024

/** Maximum bytes of the body that are stored: few of a success, because failures are rare. */
const maxBytes = 65_536
const maxSuccessBytes = 4_096

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
 * Returns what the log stores of a response: its first headers, with URLs without their queries, and its body, of which a success has at
 * most 4 KB. Hidden values of the request that the receiver repeats are replaced.
 */
export function logResponse(
  received: { status: number; headers: IncomingHttpHeaders; body: Buffer },
  request: SentRequest,
): LoggedResponse {
  const secrets = secretsOf(request)
  // the bytes of a header, each of which Node reads as a character
  const hidden = (text: string) => secrets.hide(Buffer.from(text, 'latin1'), maxSearched).toString('latin1')
  const headers = Object.entries(received.headers)
    .slice(0, maxResponseHeaders)
    .map(([name, value]) => {
      const text = hiddenResponseHeaders.test(name) ? hiddenValue : withoutQueries(name, hidden(String(value)))
      return [hidden(name).slice(0, maxHeaderLength), text.slice(0, maxHeaderLength)]
    })
  const isSuccess = received.status >= 200 && received.status <= 299
  const body = secrets.hide(received.body, isSuccess ? maxSuccessBytes : maxBytes)
  return { headers: Object.fromEntries(headers), body }
}

/** Returns the hidden values of a request. */
function secretsOf({ url, headers }: SentRequest): HiddenValues {
  const hidden = Object.entries(headers).flatMap(([name, value]) => (shownHeaders.has(name.toLowerCase()) ? [] : value))
  return new HiddenValues([...hidden, URL.parse(url)?.search.slice(1) ?? ''])
}

/** Returns the value of a header whose URLs have no query, fragment, user name and password; one of a location may be relative. */
function withoutQueries(name: string, value: string): string {
  const shown = value
    .replace(/\/\/[^\s/?#@"'<>]*@/g, '//')
    .replace(/(\/\/[^\s?#"'<>]*)[?#][^\s"'<>]*/g, (_, location) => location)
  return headersWithUrl.test(name) ? shown.replace(/[?#][^\s"'<>]*/g, '') : shown
}
