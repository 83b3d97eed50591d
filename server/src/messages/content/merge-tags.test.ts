import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cpuMs } from '../../../test/cpu-time.ts'
import { cleanValue, doubledTags, isPlain, parseTemplate, render } from './merge-tags.ts'

const rendered = (content: string, values: Record<string, string> = {}) =>
  render(parseTemplate(content), (tag) => values[tag.name] || tag.fallback || '-')

describe('content with merge tags', () => {
  test.each([
    ['Hi {first_name}!', 'Hi Ana!'],
    ['{first_name}', 'Ana'],
    ['{first_name}{first_name}', 'AnaAna'],
    ['{ First_Name }', 'Ana'],
    ['{team|the pantry} opens', 'the pantry opens'],
    ['{team| the pantry } opens', 'the pantry opens'],
    ['{first_name|friend}', 'Ana'],
    ['{team|}.', '-.'],
    ['\\{first_name}', '{first_name}'],
    ['a \\{{first_name}} b', 'a {Ana} b'],
    ['{50% off} {} {?} :-{ }{', '{50% off} {} {?} :-{ }{'],
    ['{first_name', '{first_name'],
    ['{a{first_name}', '{aAna'],
    ['back\\slash', 'back\\slash'],
    ['', ''],
  ])('%j is rendered as %j', (content, text) => {
    expect(rendered(content, { first_name: 'Ana' })).toBe(text)
  })

  test('lists its tags, including unknown names', () => {
    expect(parseTemplate('{first name} {prénom} {last-name|x}').tags).toEqual([
      { name: 'first name', fallback: undefined },
      { name: 'prénom', fallback: undefined },
      { name: 'last-name', fallback: 'x' },
    ])
  })

  test('distinguishes tags in one pair of braces from tags in two pairs', () => {
    const names = (content: string) => doubledTags(parseTemplate(content)).map((tag) => tag.name)
    expect(names('{{first_name}} and {last_name}')).toEqual(['first_name'])
    expect(names('{ {first_name}} :-{{first_name} }')).toEqual([])
  })
})

test('a value is never parsed as a tag', () => {
  const values = fc.oneof(fc.string(), fc.constantFrom('{last_name}', '\\{', '{{x}}', '|', '}'))
  fc.assert(
    fc.property(values, values, (first, last) => {
      fc.pre(first !== '' && last !== '')
      const text = rendered('<{first_name}|{last_name}>', { first_name: first, last_name: last })
      expect(text).toBe(`<${first}|${last}>`)
    }),
  )
})

test('content without tags or escapes is sent unchanged', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('{', '}', '\\', 'a', '|', ' ', '%') }), (content) => {
      if (isPlain(content)) expect(rendered(content)).toBe(content)
      else expect(parseTemplate(content).tags.length > 0 || content.includes('\\{')).toBe(true)
    }),
  )
})

test('5,000 characters of nested braces are parsed within half a second', () => {
  for (const unit of ['{', '{a ', '{a', '{a|', ' ', '{a      ', '\\{']) {
    const content = unit.repeat(5_000 / unit.length)
    expect(cpuMs(() => rendered(content))).toBeLessThan(500)
  }
})

test.each([
  ['  Ana\r\nSTOP\tnow ', 'Ana STOP now'],
  ['a\u0000b\u2028c\u0085d', 'a b c d'],
  ['Zoë 👩‍🌾', 'Zoë 👩‍🌾'],
])('the value %j is cleaned to %j', (value, cleaned) => {
  expect(cleanValue(value)).toBe(cleaned)
})
