import { describe, expect, test } from 'vitest'
import type { ValueRules } from '../../custom-fields/values.ts'
import { parseTemplate } from './merge-tags.ts'
import { type Person, personalText } from './personal-text.ts'
import { longestValue, partsWithin } from './text-length.ts'

const field = (key: string, given: Partial<ValueRules> = {}): ValueRules => ({
  key,
  contentType: 'text',
  maxLength: 50,
  pattern: null,
  isEnforced: false,
  defaultValue: null,
  ...given,
})

const ana: Person = {
  phone: 2065550143,
  firstName: 'Ana',
  lastName: 'Ruiz',
  email: 'ana@cedar.example',
  zipCode: '98101',
  values: [],
}
const stranger: Person = { ...ana, firstName: ' ', lastName: '', email: '', zipCode: '' }

function render(content: string, person: Person, fields: ValueRules[] = [], values: unknown[] = []) {
  return personalText(parseTemplate(content), fields, { timeZone: 'America/Los_Angeles', maxParts: null }).textFor({
    ...person,
    values,
  })
}

describe('the value of a tag', () => {
  test.each([
    [
      '{first_name} {last_name}, {email}, {zip_code}, {phone_number}',
      ana,
      'Ana Ruiz, ana@cedar.example, 98101, 2065550143',
    ],
    ['Come to {state}', ana, 'Come to Washington'],
    ['Come to {state}', { ...ana, zipCode: '99999' }, 'Come to Alaska'],
    ['Come to {state}', { ...ana, zipCode: 'W1A' }, 'Come to your state'],
    ['Come to {state}', stranger, 'Come to your state'],
    ['Hi {first_name}', stranger, 'Hi friend'],
    ['Hi {first_name|neighbor}', stranger, 'Hi neighbor'],
    ['Hi {first_name|}!', stranger, 'Hi !'],
    ['Dear {last_name}.', stranger, 'Dear .'],
    ['Hi {constructor}{__proto__}.', ana, 'Hi .'],
  ])('is rendered: %j', (content, person, text) => {
    expect(render(content, person)).toBe(text)
  })

  test.each<[string, ValueRules, unknown, string]>([
    ['its value', field('team'), 'Blue', 'Blue'],
    ['its cleaned value', field('team'), 'Blue\nRed', 'Blue Red'],
    ['a number unchanged', field('team', { contentType: 'number' }), 12.5, '12.5'],
    ['a day in US format', field('team', { contentType: 'datetime' }), '2031-05-06T00:00:00.000Z', '5/6/31'],
    [
      "an instant in the account's time zone",
      field('team', { contentType: 'datetime' }),
      '2031-05-06T03:00:00.000Z',
      '5/5/31',
    ],
    ["the field's default if there is no value", field('team', { defaultValue: 'Any' }), null, 'Any'],
    [
      "the field's default date if there is no value",
      field('team', { contentType: 'datetime', defaultValue: '2031-05-06' }),
      null,
      '5/6/31',
    ],
    ['nothing if there is no default either', field('team'), null, ''],
    [
      'the default if the value has another type',
      field('team', { contentType: 'number', defaultValue: '3' }),
      'x',
      '3',
    ],
  ])('of a custom field is %s', (_case, rules, value, text) => {
    expect(render('{team}', ana, [rules], [value])).toBe(text)
  })

  test('a custom field with the key state takes precedence over the state of the zip code', () => {
    expect(render('{state}', ana, [field('state')], ['open'])).toBe('open')
    expect(render('{state}', ana, [field('state')], [null])).toBe('')
  })

  test('the fallback in the content takes precedence over the default of the field', () => {
    expect(render('{team|Nobody}', ana, [field('team', { defaultValue: 'Any' })], [null])).toBe('Nobody')
  })

  test('values are read in the order of fieldKeys, which contains each field once', () => {
    const fields = [field('a'), field('b'), field('c')]
    const text = personalText(parseTemplate('{c} {a} {first_name} {c}'), fields, { timeZone: 'UTC', maxParts: null })
    expect(text.fieldKeys).toEqual(['c', 'a'])
    expect(text.textFor({ ...ana, values: ['C', 'A'] })).toBe('C A Ana C')
  })
})

describe('a text that is too long', () => {
  const hostile = `{a}${'{b}'.repeat(40)}`
  const texts = (maxParts: number | null) =>
    personalText(parseTemplate(hostile), [field('a'), field('b')], { timeZone: 'UTC', maxParts })

  /** A person whose values are counted when they are read. */
  function counted(...values: unknown[]) {
    const read: number[] = []
    const of = (position: number) => ({
      enumerable: true,
      get() {
        read.push(position)
        return values[position]
      },
    })
    return { read, person: { ...ana, values: Object.defineProperties([], { 0: of(0), 1: of(1) }) as unknown[] } }
  }

  test.each([null, 1, 10])('ends with the first value that makes it too long (max_parts %j)', (maxParts) => {
    const { person, read } = counted('x'.repeat(9_998), 'y')
    const text = texts(maxParts).textFor(person)
    expect(read).toEqual([0])
    expect(text).toHaveLength(9_998)
    expect(partsWithin(text, maxParts)).toBeUndefined()
  })

  test.each([
    [null, 321],
    [1, 161],
    [10, 1_601],
  ])('has at most one value more than fits (max_parts %j)', (maxParts, longest) => {
    const { person } = counted('', 'y'.repeat(90))
    const text = texts(maxParts).textFor(person)
    expect(text.length).toBeLessThan(longest + 90)
    expect(text.length).toBe(Math.min(40 * 90, Math.ceil(longest / 90) * 90))
  })

  test('reads and cleans each value once, even if nothing visible is left of it', () => {
    const { person, read } = counted('\u200B'.repeat(1_000), '\u202E'.repeat(1_000))
    expect(texts(null).textFor(person)).toBe('')
    expect(read).toEqual([0, 1])
  })

  test('is too long with a value that may have been cut, whatever is left of it when cleaned', () => {
    const { person } = counted(`${' '.repeat(longestValue)}x`, '')
    expect(partsWithin(texts(10).textFor(person), 10)).toBeUndefined()
  })
})
