/** Returns the maximum number of these sorted times, in milliseconds, within one sliding second. */
export function maxPerSecond(times: readonly number[]): number {
  let max = 0
  for (let first = 0, last = 0; last < times.length; last++) {
    while ((times[last] as number) - (times[first] as number) >= 1_000) first++
    max = Math.max(max, last - first + 1)
  }
  return max
}
