/** Waits until `condition` answers something truthy and gives it back; throws when the time is up. */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: { timeoutMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const until = performance.now() + (options.timeoutMs ?? 5_000)
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
      throw new Error(`waited in vain for ${options.what ?? condition.toString().slice(0, 200)}`, { cause: fault })
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
