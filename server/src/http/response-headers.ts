import type { FastifyInstance, FastifyReply } from 'fastify'

/** Sets the headers that every response has, before any other hook can reject the request. */
export function useResponseHeaders(app: FastifyInstance) {
  app.addHook('onRequest', (_req, reply, done) => {
    setResponseHeaders(reply)
    done()
  })
}

/** Sets headers for a response that no page may embed, no cache may store, and no browser may interpret as another type. */
export function setResponseHeaders(reply: FastifyReply) {
  reply.header('cache-control', 'no-store')
  reply.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
  reply.header('cross-origin-resource-policy', 'same-origin')
  reply.header('x-content-type-options', 'nosniff')
}

/**
 * The content policy of our pages: scripts and requests of this server only, and no frames. Inline styles are allowed, because
 * Mantine and Swagger UI insert `style` elements.
 */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Sets the headers of pages and their files on all routes of `app`. */
export function usePageHeaders(app: FastifyInstance) {
  app.addHook('onRequest', (_req, reply, done) => {
    reply.header('content-security-policy', pagePolicy)
    reply.header('cross-origin-opener-policy', 'same-origin')
    // not no-referrer, with which a browser sends `Origin: null` with the forms of our own pages
    reply.header('referrer-policy', 'same-origin')
    reply.header('x-frame-options', 'DENY')
    done()
  })
}
