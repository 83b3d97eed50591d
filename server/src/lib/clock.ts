/** Source of the product's own times; leases, socket deadlines and rate caps use real time. */
export type Clock = { now(): Date }

export const systemClock: Clock = { now: () => new Date() }

/** Formats the UTC day of an instant as YYYY-MM-DD, which names a partition of the log. */
export function utcDay(instant: Date): string {
  return instant.toISOString().slice(0, 10)
}
