import { setTimeout as pause } from 'node:timers/promises'

/** Runs checks and prints one line with PASS, FAIL or SKIP for each. */
export class Checks {
  #passed = 0
  #failed = 0
  #skipped = 0

  /** Runs a check; returns false if it threw, returned false or exceeded its time. */
  async check(name: string, run: () => unknown, timeoutMs = 10_000): Promise<boolean> {
    const finished = new AbortController()
    try {
      const timeout = pause(timeoutMs, undefined, { signal: finished.signal }).then(() => {
        throw new Error(`timed out after ${timeoutMs / 1_000} s`)
      })
      timeout.catch(() => {})
      const result = await Promise.race([run(), timeout])
      if (result === false) throw new Error('returned false')
      this.#passed++
      console.log(`PASS  ${name}`)
      return true
    } catch (fault) {
      this.#failed++
      console.log(`FAIL  ${name}: ${fault instanceof Error ? fault.message : fault}`)
      return false
    } finally {
      finished.abort()
    }
  }

  skip(name: string, reason: string): void {
    this.#skipped++
    console.log(`SKIP  ${name}: ${reason}`)
  }

  /** Prints the numbers and returns true if no check failed. */
  summarize(): boolean {
    console.log(`\n${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`)
    return this.#failed === 0
  }
}

/** Throws unless `actual` has all properties of `expected` with the same values, or matching a RegExp. */
export function expectFields(actual: unknown, expected: Record<string, unknown>): void {
  const fields = (actual ?? {}) as Record<string, unknown>
  const wrong = Object.entries(expected).filter(([name, value]) => !isSame(fields[name], value))
  if (wrong.length === 0) return
  throw new Error(
    wrong.map(([name, value]) => `${name} is ${JSON.stringify(fields[name])}, not ${JSON.stringify(value)}`).join('; '),
  )
}

function isSame(actual: unknown, expected: unknown): boolean {
  return expected instanceof RegExp
    ? expected.test(String(actual))
    : JSON.stringify(actual) === JSON.stringify(expected)
}

/** Calls `query` until its result is neither false nor undefined, and returns it; throws after the timeout. */
export async function waitUntil<T>(
  query: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 9_000,
): Promise<T> {
  for (const end = performance.now() + timeoutMs; performance.now() < end; await pause(25)) {
    const result = await query()
    if (result !== undefined && result !== false) return result
  }
  throw new Error('timed out')
}
