/** The shortest limit for a condition, also when its test names less: at load 8 Carillon is about ten times slower. */
const minimumMs = 20_000

/**
 * Returns the first truthy value of `condition`, which is called every 10 ms; throws when the time is up. A limit below
 * 20 s counts as 20 s: durations are measured in bench/.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: { timeoutMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const until = performance.now() + Math.max(options.timeoutMs ?? 0, minimumMs)
  let fault: unknown
  for (;;) {
    try {
      const result = await condition()
      if (result) return result
      fault = undefined
    } catch (error) {
      fault = error
    }
    if (performance.now() > until) {
      throw new Error(`timed out waiting for ${options.what ?? condition.toString().slice(0, 200)}`, { cause: fault })
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
