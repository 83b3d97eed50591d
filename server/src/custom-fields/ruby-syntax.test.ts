import { expect, test } from 'vitest'
import { PatternBudget, sizeOfPattern } from './pattern.ts'

const matchesPattern = (pattern: string, value: string) =>
  new PatternBudget().matches({ pattern, isEnforced: true }, value)

import { translateRubyPattern } from './ruby-syntax.ts'

test.each<[string, string[], string[]]>([
  ['^\\p{Alpha}+$', ['Ana', 'Zoë', 'Ñandú'], ['Ana 2', '']],
  ['^[\\p{Alpha} -]+$', ['Ana-Zoë M'], ['Ana.']],
  ['^\\p{alnum}+$', ['Ana2'], ['a-b']],
  ['^\\P{Alpha}+$', ['12 3'], ['1a']],
  ['^\\p{^Digit}+$', ['abc'], ['a1']],
  ['^\\p{Upper}\\p{Lower}+\\p{Punct}$', ['Ana!'], ['ana!', 'Ana']],
  ['^[^\\p{Space}]+$', ['ab'], ['a b', 'a\u00a0b']],
  ['^#\\h{6}$', ['#00ffA9'], ['#00ffAg', '# 0ffA9']],
  ['^[\\h:]+$', ['00:1f'], ['zz']],
  ['^\\H+$', ['xyz'], ['xay']],
  ['\\Aa\\Z', ['a', 'a\n'], ['ab']],
  ['^[]\\h]+$', [']a'], ['z']],
  ['^[[:alpha:]\\h]+$', ['xyz9'], ['!']],
])('%s matches as in Ruby', (pattern, matching, others) => {
  expect(sizeOfPattern(pattern)).toBeLessThan(500)
  for (const value of matching) expect(matchesPattern(pattern, value), value).toBe(true)
  for (const value of others) expect(matchesPattern(pattern, value), value).toBe(false)
})

test.each(['\\\\h', '\\\\p{Alpha}', '\\Q\\h\\E', '\\p{L}\\p{Latin}', '^[A-Z]{2}\\d+$', 'a[b', '\\'])(
  '%s is unchanged',
  (pattern) => {
    expect(translateRubyPattern(pattern)).toBe(pattern)
  },
)

test.each(['[\\P{Alpha}]', '[\\H]', '\\p{Nonsense}', '(?=a)'])('%s stays invalid', (pattern) => {
  expect(sizeOfPattern(pattern)).toBeUndefined()
})
