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

/** Maximum bytes of the body of a success that are stored; of a failure, all of it is, because failures are few. */
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

/** Returns what the log stores of a response: its first headers and its body, of which a success has at most 4 KB. */
export function logResponse(received: { status: number; headers: IncomingHttpHeaders; body: Buffer }): LoggedResponse {
  const headers = Object.entries(received.headers)
    .slice(0, maxResponseHeaders)
    .map(([name, value]) => {
      const text = hiddenResponseHeaders.test(name) ? hiddenValue : String(value)
      return [name.slice(0, maxHeaderLength), text.slice(0, maxHeaderLength)]
    })
  const isSuccess = received.status >= 200 && received.status <= 299
  const body = isSuccess ? received.body.subarray(0, maxSuccessBytes) : received.body
  return { headers: Object.fromEntries(headers), body }
}
