import { availableParallelism } from 'node:os'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { FairPlaces } from '../lib/fair-places.ts'

const maxWaiting = 200
const maxWaitMs = 10_000

/** Number of places of all accounts, in accounts. */
export const accountsAtOnce = 2

/** Number of places of an account while another one makes requests as well: as many as there are cores. */
const besideOthers = Math.max(2, availableParallelism())
/** Time for which an account counts as one that makes requests. */
const activeMs = 5_000
/** Number of requests at a time, of all accounts, that have a low priority, because each may use two connections of that pool. */
const maxLow = 4
/** Maximum number of database connections for requests that have a low priority. */
export const lowConnections = 2 * maxLow

/**
 * Handles at most `perAccount` requests of an account at a time, because each may use two database connections. While another
 * account makes requests as well, it has as many as there are cores, and those that begin while it has another one in progress
 * run in `runLow`: an account that always has many would otherwise make the others wait for the cores, in this process and in
 * PostgreSQL. Further requests wait, up to ten seconds, and the accounts that wait take turns; then the response is a 429, or a 503
 * if the server stops. A request has its place until its handler has ended, even if its client disconnects. Uploads have places of
 * their own, and batched reads need none. `releaseOnSend` must be called after all hooks that use the database when a response is sent.
 */
export function useAccountPlaces(
  app: FastifyInstance,
  perAccount: number,
  runLow: (work: () => void) => void = (work) => work(),
) {
  const active = new ActiveAccounts()
  const perParty = (accountId: number) =>
    active.hasOther(accountId, performance.now()) ? Math.min(besideOthers, perAccount) : perAccount
  const places = new FairPlaces({ total: accountsAtOnce * perAccount, perParty, maxWaiting, maxWaitMs })
  let low = 0
  // One listener of the signal for all requests: one per request was a twentieth of the CPU time of a small request. The
  // waiting requests are not in a set of this function: it kept all earlier ones in memory until the next full collection, and
  // copying them was a fifth of that time (2026-11-29).
  app.stopping.addEventListener('abort', () => places.endWaits())
  app.decorateRequest('hasPlace', false)
  app.decorateRequest('isLow', false)

  app.addHook('preHandler', (req, reply, done) => {
    const { upload, batched } = req.routeOptions.config
    active.note(req.account.id, performance.now())
    if (upload || batched) return done()
    if (places.tryTake(req.account.id)) return begin(req, done)
    const giveUp = places.wait(req.account.id, (taken) => {
      reply.raw.off('close', giveUp)
      if (taken) return begin(req, done)
      if (app.stopping.aborted) return done(app.stopping.reason)
      done(errors.tooManyAtOnce(perAccount))
    })
    reply.raw.once('close', giveUp)
  })

  function begin(req: FastifyRequest, done: () => void) {
    const { id } = req.account
    req.hasPlace = true
    if (low >= maxLow || places.takenBy(id) === 1 || !active.hasOther(id, performance.now())) return done()
    req.isLow = true
    low++
    runLow(done)
  }

  const release = (req: FastifyRequest) => {
    if (!req.hasPlace) return
    req.hasPlace = false
    if (req.isLow) low--
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

/** Knows whether other accounts than a certain one have made requests recently. */
class ActiveAccounts {
  #last: { id: number; at: number } | undefined
  /** The latest request of another account than that of `#last`. */
  #before: { id: number; at: number } | undefined

  /** Notes a request. */
  note(accountId: number, now: number): void {
    if (this.#last !== undefined && this.#last.id !== accountId) this.#before = this.#last
    this.#last = { id: accountId, at: now }
  }

  /** Returns whether another account has made a request in the last seconds. */
  hasOther(accountId: number, now: number): boolean {
    const other = this.#last?.id === accountId ? this.#before : this.#last
    return other !== undefined && now - other.at < activeMs
  }
}
