import { describe, expect, test } from 'vitest'
import type { ValueRules } from '../../custom-fields/values.ts'
import { parseTemplate } from './merge-tags.ts'
import { type Person, personalText } from './personal-text.ts'

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
  return personalText(parseTemplate(content), fields, 'America/Los_Angeles').textFor({ ...person, values })
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
    const text = personalText(parseTemplate('{c} {a} {first_name} {c}'), fields, 'UTC')
    expect(text.fieldKeys).toEqual(['c', 'a'])
    expect(text.textFor({ ...ana, values: ['C', 'A'] })).toBe('C A Ana C')
  })
})
