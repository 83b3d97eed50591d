import { CircuitBreakers, CircuitOpen } from '../lib/circuit-breaker.ts'
import { makeGuardedFetch } from '../lib/guarded-fetch.ts'
import type { Runtime } from '../runtime.ts'
import { findLookUp, listKnownUnreachable, type StoredLookUp, saveLookUp } from './look-up.queries.ts'
import type { LookUpResult } from './look-up-provider.ts'
import { queryProvider } from './look-up-provider.ts'

/** Looks up a number for an account; returns undefined if no service is configured or it is unavailable. */
export type LookUp = (phone: number, accountId: number) => Promise<LookUpResult | undefined>

const dayMs = 86_400_000
/** Number of consecutive failures of an account's look-ups after which the service is not queried for it for `pauseMs`. */
const failures = 5
const pauseMs = 30_000
/** Minimum time between two warnings in the log. */
const warningIntervalMs = 10_000

const landline: LookUpResult = {
  kind: 'landline',
  carrier: null,
  carrierName: null,
  ported: null,
  globalCarrierId: null,
  globalCarrierName: null,
}

/**
 * Returns the configured look-up. In the sandbox, the number 555-0100 of any area code is a landline; other numbers are
 * looked up at the service, if one is configured. A process must call this once, because the look-up contains the circuit
 * breakers of the service.
 */
export function makeLookUp(rt: Runtime): LookUp {
  const { mode, lookUp: settings } = rt.config
  const lookUp = settings.url === undefined ? async () => undefined : makeProviderLookUp(rt, settings.url)
  if (mode === 'production') return lookUp
  return async (phone, accountId) => (isSandboxLandline(phone) ? landline : lookUp(phone, accountId))
}

/** Returns those of the numbers that are landlines or unreachable according to stored look-ups; does not query the service. */
export async function findUnreachable(rt: Pick<Runtime, 'db' | 'config'>, phones: number[]): Promise<Set<number>> {
  const stored = phones.length === 0 ? [] : await listKnownUnreachable(rt.db, phones)
  const sandbox = rt.config.mode === 'sandbox' ? phones.filter(isSandboxLandline) : []
  return new Set([...stored, ...sandbox])
}

function isSandboxLandline(phone: number): boolean {
  return phone % 10_000_000 === 5_550_100
}

/** Returns a look-up that uses stored results while they are fresh and otherwise queries the service, with the older result as a fallback. */
function makeProviderLookUp({ db, clock, log, config }: Runtime, url: string): LookUp {
  const { token, timeoutMs, cacheDays } = config.lookUp
  const provider = {
    fetch: makeGuardedFetch({ allowed: config.allowPrivateUrls, extraCaFile: config.extraCaFile }),
    url,
    token: token?.reveal(),
    timeoutMs,
  }
  // by account: one that looks up numbers for which the service fails must not stop the look-ups of others
  const breakers = new CircuitBreakers<number>({ failures, pauseMs })
  const pending = new Map<number, Promise<LookUpResult>>()
  let warnedAt = Number.NEGATIVE_INFINITY

  // concurrent look-ups of one number share a query
  const queryOnce = (phone: number, accountId: number): Promise<LookUpResult> => {
    const query = pending.get(phone) ?? breakers.run(accountId, () => queryProvider(provider, phone))
    pending.set(phone, query)
    return query.finally(() => pending.delete(phone))
  }
  const warn = (error: unknown): undefined => {
    const now = performance.now()
    if (error instanceof CircuitOpen || now - warnedAt < warningIntervalMs) return
    warnedAt = now
    log.warn({ error: String(error) }, 'look-up service unavailable, accepting numbers without look-up')
  }

  return async (phone, accountId) => {
    const stored = await findLookUp(db, phone)
    if (stored && isFresh(stored, clock.now(), cacheDays)) return stored
    const result = await queryOnce(phone, accountId).catch(warn)
    if (result) await saveLookUp(db, phone, result, clock.now())
    return result ?? stored
  }
}

function isFresh({ lookedUpAt }: StoredLookUp, now: Date, cacheDays: number): boolean {
  return now.getTime() - lookedUpAt.getTime() < cacheDays * dayMs
}
