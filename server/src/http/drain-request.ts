import type { FastifyRequest } from 'fastify'

/** Time after which a client that is still sending a rejected body is disconnected. */
const drainTimeoutMs = 10_000

/**
 * Reads and discards the rest of a body that was rejected, up to a time limit: most clients read the response only after they
 * have sent everything, and would not get it if the socket were closed.
 */
export function drainRequest(req: FastifyRequest) {
  if (req.raw.complete || req.raw.destroyed) return
  const timer = setTimeout(() => req.raw.destroy(), drainTimeoutMs)
  timer.unref()
  req.raw.once('close', () => clearTimeout(timer))
  req.raw.resume()
}
