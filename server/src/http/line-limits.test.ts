import type { FastifyBaseLogger } from 'fastify'
import { expect, test } from 'vitest'
import { makeLogger } from '../system/logger.ts'
import { LineLimits } from './line-limits.ts'

function makeLimits() {
  const lines: { account?: number; omitted: number; msg: string }[] = []
  const log = makeLogger({ role: 'api' }, 'info', { write: (line: string) => void lines.push(JSON.parse(line)) })
  const limits = new LineLimits(log as unknown as FastifyBaseLogger, 'lines omitted')
  const take = (count: number, account: number | undefined, client: (n: number) => string = () => '192.0.2.1') =>
    Array.from({ length: count }, (_, n) => limits.take(account, client(n))).filter(Boolean).length
  return { limits, lines, take }
}

test('an account has 20 lines per second, whatever others send', () => {
  const { limits, lines, take } = makeLimits()
  expect(take(500, undefined, (n) => `192.0.2.${n % 250}`)).toBe(100)
  expect(take(50, 1)).toBe(20)
  expect(take(20, 2)).toBe(20)
  expect(lines).toEqual([])
  limits.report()
  expect(lines).toMatchObject([{ omitted: 400 }, { account: 1, omitted: 30, msg: 'lines omitted' }])
  expect(take(50, 1)).toBe(20)
})

test('a client without a key has 20 lines per second, so that others without a key have theirs', () => {
  const { limits, lines, take } = makeLimits()
  expect(take(50, undefined)).toBe(20)
  expect(take(5, undefined, () => '192.0.2.2')).toBe(5)
  limits.report()
  limits.report()
  expect(lines).toMatchObject([{ omitted: 30 }])
})
