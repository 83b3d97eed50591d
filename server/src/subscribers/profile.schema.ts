import { type Static, Type } from 'typebox'
import { PatternBudget, preparePatterns } from '../custom-fields/pattern.ts'
import { type CustomValue, readValue, type ValueError, type ValueRules } from '../custom-fields/values.ts'
import { errors } from '../errors.ts'
import { accepted, TextOrNull } from '../http/schema.ts'
import { EventLoopTurns } from '../lib/event-loop-turns.ts'
import { readBirthdate, readGender, readZipCode } from './profile-values.ts'
import type { Profile } from './subscribers.queries.ts'
import { maxTags, readTags, TagsInput } from './tags.schema.ts'

/** The profile keys of `subscriber`. Null is the same as an empty string. */
export const profileKeys = {
  first_name: Type.Optional(TextOrNull({ maxLength: 50 })),
  last_name: Type.Optional(TextOrNull({ maxLength: 50 })),
  email: Type.Optional(TextOrNull({ maxLength: 50 })),
  birthdate: Type.Optional(
    accepted<string | number | null>({
      type: ['string', 'integer', 'null'],
      documented: ['string', 'null'],
      maxLength: 40,
      minimum: 10_000_101,
      maximum: 99_991_231,
      description: 'A date: YYYYMMDD; YYYY-MM-DD, M/D/YYYY and a month by its name are also accepted.',
    }),
  ),
  zip_code: Type.Optional(
    accepted<string | number | null>({
      type: ['string', 'integer', 'null'],
      documented: ['string', 'null'],
      minimum: 0,
      maximum: 999_999,
      description: 'At most six characters; of a ZIP+4, the first five digits are stored.',
    }),
  ),
  gender: Type.Optional(
    Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description: 'Male or Female, also in lower case and by the first letter.',
    }),
  ),
  tags: Type.Optional(TagsInput(maxTags, 'Added to the tags that the subscriber already has.')),
}

const ProfileBody = Type.Object(profileKeys)

/**
 * Returns the profile in a validated body, with the values of these custom fields; throws for errors that the schema
 * cannot express.
 */
export async function readProfile(body: Static<typeof ProfileBody>, customFields: ValueRules[]): Promise<Profile> {
  const given = customFields.filter(({ key }) => Object.hasOwn(body, key))
  if (given.length > 0) await preparePatterns(given, new EventLoopTurns())
  return {
    firstName: textOf(body.first_name),
    lastName: textOf(body.last_name),
    email: textOf(body.email),
    ...readDetails(body),
    tags: body.tags === undefined ? undefined : readTags(body.tags, 'subscriber.tags', maxTags),
    customValues: readCustomValues(body, given),
  }
}

/** Reads the values that people write in several ways; throws for those that have no meaning or more than one. */
function readDetails(body: Static<typeof ProfileBody>): Pick<Profile, 'zipCode' | 'birthdate' | 'gender'> {
  const faults: Record<string, string[]> = {}
  const read = <T>(key: 'zip_code' | 'birthdate' | 'gender', parse: (text: string) => T | undefined, fault: string) => {
    const given = body[key]
    if (given === undefined) return undefined
    const text = String(given ?? '').trim()
    if (text === '') return ''
    const value = parse(text)
    if (value === undefined) faults[`subscriber.${key}`] = [text.length > 6 || key === 'gender' ? fault : 'is invalid']
    return value
  }
  const zipCode = read('zip_code', readZipCode, 'is too long (maximum is 6 characters)')
  const birthdate = read('birthdate', (text) => (isDay(text) ? text : readBirthdate(text)), 'is invalid')
  const gender = read('gender', readGender, 'is not included in the list')
  if (Object.keys(faults).length > 0) throw errors.invalid(faults)
  return { zipCode, birthdate, gender: gender === '' ? null : gender }
}

const fixedKeys: ReadonlySet<string> = new Set([
  ...Object.keys(profileKeys),
  'phone_number',
  'bypass_opt_in_process',
  'bypass_opt_in_response',
])

/** Returns whether a body has keys that may be custom fields. Most bodies have none, which saves a query. */
export function mayNameFields(body: object): boolean {
  return Object.keys(body).some((key) => !fixedKeys.has(key))
}

/** Reads the values of the custom fields; ignores other keys, because callers send additional ones. */
function readCustomValues(body: object, fields: ValueRules[]): Profile['customValues'] {
  const values: Record<string, CustomValue | null> = {}
  const faults: Record<string, string[]> = {}
  const budget = new PatternBudget()
  for (const field of fields) {
    const given = (body as Record<string, unknown>)[field.key]
    if (given === undefined) continue
    const read = readValue(field, given, budget)
    if ('error' in read) faults[`subscriber.${field.key}`] = [errorMessage(read.error, field)]
    else values[field.key] = read.value
  }
  if (Object.keys(faults).length > 0) throw errors.invalid(faults)
  return Object.keys(values).length > 0 ? values : undefined
}

function errorMessage(fault: ValueError, field: ValueRules): string {
  if (fault === 'length') return `is too long (maximum is ${field.maxLength} characters)`
  if (fault === 'pattern') return 'is invalid'
  if (fault === 'cost') return 'is too long to be checked with these other values: send it alone, or shorten it'
  return { text: 'must be a text', number: 'is not a number', datetime: 'is not a date or time' }[field.contentType]
}

function textOf(given: string | null | undefined): string | undefined {
  return given === null ? '' : given
}

function isDay(digits: string): boolean {
  if (!/^\d{8}$/.test(digits)) return false
  const day = `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6)}`
  const time = Date.parse(day)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day)
}
