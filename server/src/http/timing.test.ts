import { expect, test } from 'vitest'
import { assertHttpTiming, timing } from './timing.ts'

test('the actual durations satisfy all inequalities', () => {
  expect(() => assertHttpTiming(timing)).not.toThrow()
})

test.each(Object.keys(timing) as (keyof typeof timing)[])('a thousand times %s, or none, is an error', (name) => {
  const faults = [timing[name] * 1_000, Number.NaN].map((ms) => {
    try {
      assertHttpTiming({ ...timing, [name]: ms })
      return ''
    } catch (error) {
      return (error as Error).message
    }
  })
  for (const fault of faults) expect(fault).toContain(`${name} (`)
})
