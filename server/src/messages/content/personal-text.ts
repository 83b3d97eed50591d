import { listCustomFields } from '../../custom-fields/custom-fields.queries.ts'
import { reservedKeys } from '../../custom-fields/custom-fields.ts'
import { type ValueRules, valueOrDefault } from '../../custom-fields/values.ts'
import type { Db } from '../../db/db.ts'
import { formatPhoneNumber } from '../../sms/phone-number.ts'
import { findTimeZone, type PersonProfile } from '../audience/recipients.queries.ts'
import { cleanValue, isPlain, parseTemplate, render, type Tag, type Template } from './merge-tags.ts'
import { stateOfZip } from './us-states.ts'

/** A recipient's profile, with the values of the fields of `PersonalText.fieldKeys` in their order. */
export type Person = PersonProfile

/** Content with merge tags, prepared to be rendered for many recipients. */
export type PersonalText = {
  fieldKeys: string[]
  textFor(person: Person): string
  /** The text for a recipient with an empty profile. */
  fallbackText: string
}

/** The merge tags of the profile, with their fallbacks. */
const profileTags: Record<string, { valueOf(person: Person): string; fallback: string }> = {
  first_name: { valueOf: (person) => person.firstName, fallback: 'friend' },
  last_name: { valueOf: (person) => person.lastName, fallback: '' },
  email: { valueOf: (person) => person.email, fallback: '' },
  zip_code: { valueOf: (person) => person.zipCode, fallback: '' },
  state: { valueOf: (person) => stateOfZip(person.zipCode), fallback: 'your state' },
  phone_number: { valueOf: (person) => formatPhoneNumber(person.phone), fallback: '' },
}

export const profileTagNames: readonly string[] = Object.keys(profileTags)

/** A recipient with an empty profile, so every merge tag takes its fallback. */
const emptyPerson: Person = { phone: 0, firstName: '', lastName: '', email: '', zipCode: '', values: [] }

/**
 * Prepares a template for these custom fields of the list. A tag becomes the recipient's value, or else the fallback in
 * the content, or else the field's default; a tag whose field was deleted becomes the fallback in the content.
 */
export function personalText(template: Template, fields: ValueRules[], timeZone: string): PersonalText {
  const byKey = new Map(fields.map((field) => [field.key, field]))
  const fieldKeys = [...new Set(template.tags.map((tag) => tag.name))].filter((name) => byKey.has(name))
  const writersByTag = new Map(template.tags.map((tag) => [tag, writerOf(tag)]))

  function writerOf(tag: Tag): (person: Person) => string {
    const known = Object.hasOwn(profileTags, tag.name) ? profileTags[tag.name] : undefined
    const field = byKey.get(tag.name)
    const position = fieldKeys.indexOf(tag.name)
    const fieldDefault = field ? valueOrDefault(field, {}) : null
    const defaultText = field ? (fieldDefault === null ? '' : format(field, fieldDefault)) : known?.fallback
    const fallback = tag.fallback ?? defaultText ?? ''
    if (field) {
      const rules = { ...field, defaultValue: null }
      return ({ values }) => {
        const value = valueOrDefault(rules, { [rules.key]: values[position] })
        return (value === null ? '' : format(field, value)) || fallback
      }
    }
    return (person) => (person !== emptyPerson && known && cleanValue(known.valueOf(person))) || fallback
  }

  const dates = new Intl.DateTimeFormat('en-US', { timeZone, dateStyle: 'short' })
  const plainDates = new Intl.DateTimeFormat('en-US', { timeZone: 'UTC', dateStyle: 'short' })

  /** Formats a value: dates in US format, in the account's time zone unless they have no time of day. */
  function format(field: ValueRules, value: string | number): string {
    if (field.contentType !== 'datetime') return cleanValue(String(value))
    const isDay = String(value).endsWith('T00:00:00.000Z')
    return (isDay ? plainDates : dates).format(new Date(value))
  }

  const textFor = (person: Person) => render(template, (tag) => writersByTag.get(tag)?.(person) ?? '')
  return { fieldKeys, textFor, fallbackText: textFor(emptyPerson) }
}

/** Returns the tags of a template that are neither profile tags nor these custom fields. */
export function unknownTags(template: Template, fields: ValueRules[]): Tag[] {
  const known = new Set([...profileTagNames, ...fields.map((field) => field.key)])
  return template.tags.filter((tag) => !known.has(tag.name))
}

/** Prepares the content of a list's message; returns undefined if the text is the same for all recipients. */
export async function readPersonalText(db: Db, listId: number, content: string): Promise<PersonalText | undefined> {
  if (isPlain(content)) return undefined
  const template = parseTemplate(content)
  const fields = await fieldsFor(db, listId, template)
  const hasDates = fields.some(
    ({ contentType, key }) => contentType === 'datetime' && template.tags.some((tag) => tag.name === key),
  )
  return personalText(template, fields, hasDates ? await findTimeZone(db, listId) : 'UTC')
}

/**
 * Returns the list's custom fields, or none if no tag of the template can be one; a field may also be called `state`.
 */
export async function fieldsFor(db: Db, listId: number, template: Template): Promise<ValueRules[]> {
  const mayHaveFields = template.tags.some(({ name }) => !profileTagNames.includes(name) || !reservedKeys.has(name))
  return mayHaveFields ? listCustomFields(db, listId) : []
}
