import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { FairPlaces } from '../lib/fair-places.ts'

const maxWaiting = 200
const maxWaitMs = 10_000

/** Number of places of all accounts, in accounts. */
export const accountsAtOnce = 2

/**
 * Handles at most `perAccount` requests of an account at a time, because each may use two database connections. Others
 * wait, up to ten seconds, and the accounts that wait take turns; then the response is a 429, or a 503 if the server stops. A request has its place until
 * its handler has ended, even if its client disconnects. Uploads have places of their own, and batched reads need none. `releaseOnSend` must be called
 * after all hooks that use the database when a response is sent.
 */
export function useAccountPlaces(app: FastifyInstance, perAccount: number) {
  const places = new FairPlaces({ total: accountsAtOnce * perAccount, perParty: perAccount, maxWaiting, maxWaitMs })
  // One listener of the signal for all requests: one per request was a twentieth of the CPU time of a small request. The
  // waiting requests are not in a set of this function: it kept all earlier ones in memory until the next full collection, and
  // copying them was a fifth of that time (2026-11-29).
  app.stopping.addEventListener('abort', () => places.endWaits())
  app.decorateRequest('hasPlace', false)

  app.addHook('preHandler', (req, reply, done) => {
    const { upload, batched } = req.routeOptions.config
    if (upload || batched) return done()
    if (places.tryTake(req.account.id)) {
      req.hasPlace = true
      return done()
    }
    const giveUp = places.wait(req.account.id, (taken) => {
      reply.raw.off('close', giveUp)
      req.hasPlace = taken
      if (taken) return done()
      if (app.stopping.aborted) return done(app.stopping.reason)
      reply.header('retry-after', 1)
      done(errors.tooManyAtOnce(perAccount))
    })
    reply.raw.once('close', giveUp)
  })

  const release = (req: FastifyRequest) => {
    if (!req.hasPlace) return
    req.hasPlace = false
    places.release(req.account.id)
  }

  return {
    releaseOnSend() {
      app.addHook('onSend', (req, _reply, payload, done) => {
        release(req)
        done(null, payload)
      })
      // if a hook failed before that
      app.addHook('onResponse', (req, _reply, done) => {
        release(req)
        done()
      })
    },
  }
}
