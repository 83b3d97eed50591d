/** Attempts of a delivery: the first one and ten retries (contract, 6.1). */
export const maxAttempts = 11

/** The longest delay that an endpoint can set by `Retry-After`. */
const maxRetryAfterMs = 3_600_000

/**
 * Returns the delay in milliseconds before the retry that follows `attempts` attempts, or undefined after the last one. The
 * contract's schedule for retry n, from 0: n^4 + 15 + rand(30) * (n + 1) seconds, where rand is a whole number below 30.
 */
export function retryDelayMs(attempts: number, random: () => number = Math.random): number | undefined {
  if (attempts >= maxAttempts) return undefined
  const n = attempts - 1
  return (n ** 4 + 15 + Math.floor(random() * 30) * (n + 1)) * 1_000
}

/** Returns the delay in milliseconds of a `Retry-After` header in seconds or as a date, or undefined if it is malformed. */
export function readRetryAfter(header: string | undefined, now: Date): number | undefined {
  const text = header?.trim() ?? ''
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now.getTime()
  if (!Number.isFinite(ms) || (!/^\d+$/.test(text) && !/ GMT$/.test(text))) return undefined
  return Math.min(Math.max(0, ms), maxRetryAfterMs)
}
