import { CircuitBreaker, CircuitOpen } from '../lib/circuit-breaker.ts'
import { makeGuardedFetch } from '../lib/guarded-fetch.ts'
import type { Runtime } from '../runtime.ts'
import { findLookUp, listKnownUnreachable, type StoredLookUp, saveLookUp } from './look-up.queries.ts'
import type { LookUpResult } from './look-up-provider.ts'
import { queryProvider } from './look-up-provider.ts'

/** Says what is known of a number's line; undefined when nobody can tell right now. */
export type LookUp = (phone: number) => Promise<LookUpResult | undefined>

const dayMs = 86_400_000
const failures = 5
const pauseMs = 30_000
const quietMs = 10_000

const landline: LookUpResult = {
  kind: 'landline',
  carrier: null,
  carrierName: null,
  ported: null,
  globalCarrierId: null,
  globalCarrierName: null,
}

/**
 * The look-up that the settings ask for. In the sandbox the number 555-0100 of any area code is a landline; everything
 * else is asked of the operator's service, if there is one. One process has one look-up, because it remembers whom not
 * to ask for a while.
 */
export function makeLookUp(rt: Runtime): LookUp {
  const { mode, lookUp: settings } = rt.config
  const ask = settings.url === undefined ? async () => undefined : askedLookUp(rt, settings.url)
  if (mode === 'production') return ask
  return async (phone) => (isSandboxLandline(phone) ? landline : ask(phone))
}

/** Those of many numbers that are known to be landlines or dead, from what was said before: nobody is asked for them. */
export async function findUnreachable(rt: Pick<Runtime, 'db' | 'config'>, phones: number[]): Promise<Set<number>> {
  const known = phones.length === 0 ? [] : await listKnownUnreachable(rt.db, phones)
  const sandbox = rt.config.mode === 'sandbox' ? phones.filter(isSandboxLandline) : []
  return new Set([...known, ...sandbox])
}

function isSandboxLandline(phone: number): boolean {
  return phone % 10_000_000 === 5_550_100
}

/** Asks the service, but for what it said not long ago. While it is away an older answer stands in. */
function askedLookUp({ db, clock, log, config }: Runtime, url: string): LookUp {
  const { token, timeoutMs, cacheDays } = config.lookUp
  const provider = {
    fetch: makeGuardedFetch({ allowed: config.allowPrivateUrls }),
    url,
    token: token?.reveal(),
    timeoutMs,
  }
  const breaker = new CircuitBreaker({ failures, pauseMs })
  const asking = new Map<number, Promise<LookUpResult>>()
  let warnedAt = Number.NEGATIVE_INFINITY

  // two adds of one number at once are one question
  const askOnce = (phone: number): Promise<LookUpResult> => {
    const asked = asking.get(phone) ?? breaker.run(() => queryProvider(provider, phone))
    asking.set(phone, asked)
    return asked.finally(() => asking.delete(phone))
  }
  const warn = (error: unknown): undefined => {
    const now = performance.now()
    if (error instanceof CircuitOpen || now - warnedAt < quietMs) return
    warnedAt = now
    log.warn({ fault: String(error) }, 'the look-up does not answer; numbers are taken unseen')
  }

  return async (phone) => {
    const known = await findLookUp(db, phone)
    if (known && isFresh(known, clock.now(), cacheDays)) return known
    const line = await askOnce(phone).catch(warn)
    if (line) await saveLookUp(db, phone, line, clock.now())
    return line ?? known
  }
}

function isFresh({ lookedUpAt }: StoredLookUp, now: Date, cacheDays: number): boolean {
  return now.getTime() - lookedUpAt.getTime() < cacheDays * dayMs
}
