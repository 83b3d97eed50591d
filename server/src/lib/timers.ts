/** The longest delay of a timer (24.8 days). Node fires a timer with a longer delay at once, and prints a warning. */
export const maxTimerMs = 2 ** 31 - 1

/**
 * Returns the delay from `now` until `at` for a timer that checks the time again when it fires: 0 for a time in the past, and
 * at most `maxTimerMs`, after which such a timer is set again.
 */
export function delayUntil(at: number, now: number): number {
  return Math.min(Math.max(0, at - now), maxTimerMs)
}
