import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'

// Browsers attach a stored key to the requests of every page, so a page of another origin must not be able to use it. Browsers
// state the page in headers that pages cannot change; other clients send none of these headers.

const addressOrLocalhost = /^(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[\da-f:.]+\])(?::\d+)?$/

/** Returns whether a `Host` is an IP address or localhost; a foreign page may have any other name (DNS rebinding). */
export function isUnforgeableHost(host: string | undefined): boolean {
  return host !== undefined && addressOrLocalhost.test(host)
}

/**
 * Rejects requests of pages of other origins with 403, before their key and body are read. GET and HEAD pass: they change
 * nothing, and without CORS headers no page can read their response. Own origins are that of `publicUrl` and, if the
 * request was sent to an IP address or to localhost, that address.
 */
export function useOriginCheck(app: FastifyInstance, publicUrl: string) {
  const publicOrigin = new URL(publicUrl).origin
  app.addHook('onRequest', (req, _reply, done) => {
    const isForeign = req.method !== 'GET' && req.method !== 'HEAD' && isFromForeignPage(req.headers, publicOrigin)
    done(isForeign ? errors.foreignOrigin() : undefined)
  })
}

function isFromForeignPage(headers: IncomingHttpHeaders, publicOrigin: string): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  const { origin, host } = headers
  if (origin === undefined || origin === publicOrigin) return false
  return origin !== `http://${host}` || !isUnforgeableHost(host)
}

/**
 * Returns whether a browser sent the request. A browser asks its user for a key when it is challenged, and stores it. The
 * `Sec-Fetch` headers are sent to HTTPS and loopback only, the other two in all cases. `Accept` shows nothing: Java's
 * HttpURLConnection, which waits for the challenge, accepts text/html.
 */
export function isFromBrowser(headers: IncomingHttpHeaders): boolean {
  return (
    headers['sec-fetch-site'] !== undefined ||
    headers['sec-fetch-mode'] !== undefined ||
    headers['sec-fetch-dest'] !== undefined ||
    headers['upgrade-insecure-requests'] !== undefined ||
    headers.origin !== undefined
  )
}
