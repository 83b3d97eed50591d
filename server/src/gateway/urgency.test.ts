import { expect, test } from 'vitest'
import { timing } from './timing.ts'
import { Urgency } from './urgency.ts'

const { urgentRecentMs } = timing

test('one statement at a time records outcomes shortly after an urgent text, otherwise two', () => {
  const urgency = new Urgency()
  expect(urgency.writers(0)).toBe(2)
  urgency.note(1_000)
  expect([1_000, 1_000 + urgentRecentMs - 1, 1_000 + urgentRecentMs].map((now) => urgency.writers(now))).toEqual([
    1, 1, 2,
  ])
})
