import { listCustomFields } from '../../custom-fields/custom-fields.queries.ts'
import { reservedKeys } from '../../custom-fields/custom-fields.ts'
import { type ValueRules, valueOrDefault } from '../../custom-fields/values.ts'
import type { Db } from '../../db/db.ts'
import type { ShortUrls } from '../../links/links.ts'
import { formatPhoneNumber } from '../../sms/phone-number.ts'
import { findTimeZone, type PersonProfile } from '../audience/recipients.queries.ts'
import { cleanValue, isPlain, parseTemplate, render, type Tag, type Template } from './merge-tags.ts'
import { longestText, longestValue } from './text-length.ts'
import { splitLinks } from './tracked-links.ts'
import { stateOfZip } from './us-states.ts'

/** A recipient's profile, with the values of the fields of `PersonalText.fieldKeys` in their order. */
export type Person = PersonProfile

/** Content with merge tags, prepared to be rendered for many recipients. */
export type PersonalText = {
  fieldKeys: string[]
  /** Returns the text for a recipient; one that is too long to be sent may lack its end, but is still too long. */
  textFor(person: Person): string
  /** The text for a recipient with an empty profile. */
  fallbackText: string
}

/** The properties of a message on which its texts depend, besides the content. */
type TextRules = { timeZone: string; maxParts: number | null; shortUrls?: ShortUrls | undefined }

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
export function personalText(template: Template, fields: ValueRules[], rules: TextRules): PersonalText {
  const { timeZone, maxParts, shortUrls } = rules
  const dates = new Intl.DateTimeFormat('en-US', { timeZone, dateStyle: 'short' })
  const plainDates = new Intl.DateTimeFormat('en-US', { timeZone: 'UTC', dateStyle: 'short' })
  const names = new Set(template.tags.map((tag) => tag.name))
  const byKey = new Map(fields.map((field) => [field.key, field]))
  const used = [...names].flatMap((name) => byKey.get(name) ?? [])
  const valueReaders = new Map(used.map((field, position) => [field.key, valueReader(field, position)]))
  const fallbacks = new Map(used.map((field) => [field.key, defaultText(field)]))
  const longest = longestText(maxParts)

  /** Returns a function that reads a person's value of a field as it appears in texts; empty if there is none. */
  function valueReader(field: ValueRules, position: number): (person: Person) => string {
    const withoutDefault = { ...field, defaultValue: null }
    return ({ values }) => {
      const value = valueOrDefault(withoutDefault, { [field.key]: values[position] })
      return value === null ? '' : format(field, value)
    }
  }

  function defaultText(field: ValueRules): string {
    const value = valueOrDefault(field, {})
    return value === null ? '' : format(field, value)
  }

  /** Formats a value: dates in US format, in the account's time zone unless they have no time of day. */
  function format(field: ValueRules, value: string | number): string {
    if (field.contentType !== 'datetime') {
      const text = String(value)
      // it is not cleaned, because it may have been cut (`fieldValues`): the text must be too long
      return text.length > longestValue ? text : cleanValue(text)
    }
    const isDay = String(value).endsWith('T00:00:00.000Z')
    return (isDay ? plainDates : dates).format(new Date(value))
  }

  function textFor(person: Person): string {
    // a tag may occur a thousand times, and its value may be long and empty when cleaned
    const known = new Map<string, string>()
    const personalValue = (name: string) => {
      let value = known.get(name)
      if (value === undefined) {
        value = valueReaders.get(name)?.(person) ?? profileValue(name, person)
        known.set(name, value)
      }
      return value
    }
    const fallbackOf = (name: string) => fallbacks.get(name) ?? ownTag(name)?.fallback ?? ''
    const valueFor = ({ name, fallback }: Tag) => personalValue(name) || (fallback ?? fallbackOf(name))
    return render(template, valueFor, longest, shortUrls && ((link) => shortUrls(link, person.phone)))
  }

  return { fieldKeys: used.map((field) => field.key), textFor, fallbackText: textFor(emptyPerson) }
}

const ownTag = (name: string) => (Object.hasOwn(profileTags, name) ? profileTags[name] : undefined)

function profileValue(name: string, person: Person): string {
  const tag = person === emptyPerson ? undefined : ownTag(name)
  return tag ? cleanValue(tag.valueOf(person)) : ''
}

/** Returns the tags of a template that are neither profile tags nor these custom fields. */
export function unknownTags(template: Template, fields: ValueRules[]): Tag[] {
  const known = new Set([...profileTagNames, ...fields.map((field) => field.key)])
  return template.tags.filter((tag) => !known.has(tag.name))
}

/**
 * Prepares the content of a list's message, with short URLs instead of its links if they are given; returns undefined if
 * the text is the same for all recipients.
 */
export async function readPersonalText(
  db: Db,
  listId: number,
  message: { content: string; maxParts?: number | null },
  shortUrls?: ShortUrls,
): Promise<PersonalText | undefined> {
  const { content, maxParts = null } = message
  if (!shortUrls && isPlain(content)) return undefined
  const parsed = parseTemplate(content)
  const template = shortUrls ? splitLinks(parsed).template : parsed
  const fields = await fieldsFor(db, listId, template)
  const names = new Set(template.tags.map((tag) => tag.name))
  const hasDates = fields.some(({ contentType, key }) => contentType === 'datetime' && names.has(key))
  const timeZone = hasDates ? await findTimeZone(db, listId) : 'UTC'
  return personalText(template, fields, { timeZone, maxParts, shortUrls })
}

/**
 * Returns the list's custom fields, or none if no tag of the template can be one; a field may also be called `state`.
 */
export async function fieldsFor(db: Db, listId: number, template: Template): Promise<ValueRules[]> {
  const mayHaveFields = template.tags.some(({ name }) => !profileTagNames.includes(name) || !reservedKeys.has(name))
  return mayHaveFields ? listCustomFields(db, listId) : []
}
