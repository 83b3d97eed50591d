import { setTimeout as pause } from 'node:timers/promises'

/** A list of checks, printed as one line of PASS, FAIL or SKIP each. */
export class Checks {
  #passed = 0
  #failed = 0
  #skipped = 0

  /** Returns whether the check neither threw nor returned false within its time. */
  async check(what: string, holds: () => unknown, withinMs = 10_000): Promise<boolean> {
    const over = new AbortController()
    try {
      const late = pause(withinMs, undefined, { signal: over.signal }).then(() => {
        throw new Error(`nothing happened for ${withinMs / 1_000} s`)
      })
      late.catch(() => {})
      const answer = await Promise.race([holds(), late])
      if (answer === false) throw new Error('it does not')
      this.#passed++
      console.log(`PASS  ${what}`)
      return true
    } catch (fault) {
      this.#failed++
      console.log(`FAIL  ${what}: ${fault instanceof Error ? fault.message : fault}`)
      return false
    } finally {
      over.abort()
    }
  }

  skip(what: string, why: string): void {
    this.#skipped++
    console.log(`SKIP  ${what}: ${why}`)
  }

  /** Prints the result and returns whether no check failed. */
  sum(): boolean {
    console.log(`\n${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`)
    return this.#failed === 0
  }
}

/** Throws unless `got` has every property of `wanted` with the same value. */
export function expectFields(got: unknown, wanted: Record<string, unknown>): void {
  const fields = (got ?? {}) as Record<string, unknown>
  const wrong = Object.entries(wanted).filter(([name, value]) => !same(fields[name], value))
  if (wrong.length === 0) return
  throw new Error(
    wrong.map(([name, value]) => `${name} is ${JSON.stringify(fields[name])}, not ${JSON.stringify(value)}`).join('; '),
  )
}

function same(got: unknown, wanted: unknown): boolean {
  return wanted instanceof RegExp ? wanted.test(String(got)) : JSON.stringify(got) === JSON.stringify(wanted)
}

/** Repeats the query until its result is neither false nor undefined; throws when the time is up. */
export async function until<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 9_000,
): Promise<T> {
  for (const end = performance.now() + withinMs; performance.now() < end; await pause(25)) {
    const answer = await look()
    if (answer !== undefined && answer !== false) return answer
  }
  throw new Error('it did not come')
}
