/** Where the product's own times come from; leases, socket deadlines and rate caps stay on real time. */
export type Clock = { now(): Date }

export const systemClock: Clock = { now: () => new Date() }

/** The UTC day of an instant as YYYY-MM-DD, which names a partition of the log. */
export function utcDay(instant: Date): string {
  return instant.toISOString().slice(0, 10)
}
