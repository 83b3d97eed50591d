/** Minimum timeout, also if a test passes less: at load 8, Carillon is about ten times slower. */
const minTimeoutMs = 40_000

/**
 * Calls `condition` every 10 ms and returns its first truthy value; throws after the timeout. A timeout below 40 s counts
 * as 40 s: durations are measured in bench/.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: { timeoutMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + Math.max(options.timeoutMs ?? 0, minTimeoutMs)
  let fault: unknown
  for (;;) {
    try {
      const result = await condition()
      if (result) return result
      fault = undefined
    } catch (error) {
      fault = error
    }
    if (performance.now() > deadline) {
      throw new Error(`timed out waiting for ${options.what ?? condition.toString().slice(0, 200)}`, { cause: fault })
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
