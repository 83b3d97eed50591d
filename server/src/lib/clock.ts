/** Source of product times; leases, socket deadlines and caps use the system's clock. */
export type Clock = { now(): Date }

export const systemClock: Clock = { now: () => new Date() }

/** Returns the UTC day of an instant as YYYY-MM-DD, which identifies a partition of the message log. */
export function utcDay(instant: Date): string {
  return instant.toISOString().slice(0, 10)
}
