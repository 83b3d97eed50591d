import { expect, test } from 'vitest'
import { SharedBudget } from './shared-budget.ts'

/** Takes one at a time for the owner until it gets no more, and returns the amount that it has. */
function takeAll(budget: SharedBudget<string>, owner: string): number {
  while (budget.take(owner, 1));
  return budget.takenBy(owner)
}

test('one owner can take half of the budget, and each further owner half of the rest', () => {
  const budget = new SharedBudget<string>(120)
  expect(takeAll(budget, 'a')).toBe(60)
  expect(takeAll(budget, 'b')).toBe(30)
  expect(takeAll(budget, 'c')).toBe(15)
})

test('an owner never gets more than its maximum', () => {
  const budget = new SharedBudget<string>(120, 10)
  expect(takeAll(budget, 'a')).toBe(10)
  expect(budget.take('b', 11)).toBe(false)
  expect(budget.take('b', 10)).toBe(true)
  expect(budget.free).toBe(100)
})

test('a released amount is free for others', () => {
  const budget = new SharedBudget<string>(120)
  takeAll(budget, 'a')
  takeAll(budget, 'b')
  budget.release('a', 60)
  expect(budget.takenBy('a')).toBe(0)
  expect(takeAll(budget, 'b')).toBe(60)
  budget.release('b', 60)
  expect(budget.free).toBe(120)
})
