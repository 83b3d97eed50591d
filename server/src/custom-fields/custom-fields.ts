import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { lockList } from '../lists/lists.ts'
import type { Runtime } from '../runtime.ts'
import {
  type CustomField,
  deleteCustomField,
  findTakenNames,
  insertCustomField,
  listCustomFields,
  type NewCustomField,
} from './custom-fields.queries.ts'
import { maxListSize, maxProgramSize, maxSteps, PatternBudget, sizeOfPattern, sourceSizeOfAll } from './pattern.ts'
import { readValue } from './values.ts'

type Clocked = Pick<Runtime, 'db' | 'clock'>

/** Keys that a subscriber already has in request bodies, responses, events or as a column of an import. */
export const reservedKeys: ReadonlySet<string> = new Set([
  'phone_number',
  'first_name',
  'last_name',
  'email',
  'birthdate',
  'zip_code',
  'gender',
  'tags',
  'bypass_opt_in_process',
  'bypass_opt_in_response',
  'cleaned_at',
  'subscribed_at',
  'opted_out_at',
  'optin_in_progress',
  'opt_in_method',
  'api_source',
  'keyword_name',
  'carrier',
  'carrier_name',
  'global_carrier_id',
  'global_carrier_name',
  'total_messages_received',
  'consented_at',
  'consent_source',
  'consent_text',
  // fixed keys of events
  'is_test',
  'type',
  'timestamp',
  'account_id',
  'campaign_id',
  'opt_id',
  'carrier_id',
  'email_address',
  'birthday',
  'tag_list',
  'first_opt_in_timestamp',
  'last_opt_in_method',
  'last_opt_in_keyword',
  'unsubscribe_date',
  'message_id',
  'sent_timestamp',
  'content',
  'response_timestamp',
  'reply_content',
  'is_mms',
  'attachment_urls',
  '__proto__',
])

/**
 * Maximum characters of the default values of a list, which each of its events contains: an import of a small file makes
 * 50,000 events, and a value may have 9,999 characters.
 */
export const maxDefaultsLength = 20_000

/**
 * Creates a field of the list. Key and label are unique in the list; unique indexes decide between concurrent requests.
 * Throws one error with all invalid values.
 */
export function createCustomField(
  rt: Clocked & Pick<Runtime, 'config'>,
  accountId: number,
  listId: number,
  field: NewCustomField,
): Promise<CustomField> {
  return rt.db.tx(async (tx) => {
    await lockList(tx, accountId, listId)
    const found = findErrors(field)
    await addTakenNames(tx, listId, field, found)
    if (Object.keys(found).length > 0) throw invalidField(found)
    const others = await listCustomFields(tx, listId)
    const limit = rt.config.caps.custom_fields
    if (others.length >= limit) throw invalidField({ list: [`has too many custom fields (maximum is ${limit})`] })
    if (field.isEnforced && sourceSizeOfAll([...others, field]) > maxListSize) {
      throw invalidField({
        pattern: ["is too large beside the list's other patterns: shorten it, or lower its repetitions"],
      })
    }
    if (field.defaultValue && lengthOfDefaults([...others, field]) > maxDefaultsLength) {
      const all = `maximum is ${maxDefaultsLength} characters for all fields of a list`
      throw invalidField({ default_value: [`is too long beside those of the list's other fields (${all})`] })
    }
    const inserted = await insertCustomField(tx, listId, field, rt.clock.now())
    if (inserted) return inserted
    await addTakenNames(tx, listId, field, found)
    throw invalidField(found)
  })
}

/**
 * Deletes the field; the values of subscribers stay stored and are no longer presented. Throws if there is no such
 * field.
 */
export async function removeCustomField(rt: Clocked, accountId: number, listId: number, key: string): Promise<void> {
  await rt.db.tx(async (tx) => {
    await lockList(tx, accountId, listId)
    if ((await deleteCustomField(tx, listId, key)) === 0) throw errors.customFieldNotFound()
  })
}

const lengthOfDefaults = (fields: readonly Pick<NewCustomField, 'defaultValue'>[]) =>
  fields.reduce((sum, { defaultValue }) => sum + (defaultValue?.length ?? 0), 0)

type FieldErrors = Record<string, string[]>

async function addTakenNames(tx: Db, listId: number, { key, label }: NewCustomField, found: FieldErrors) {
  const taken = await findTakenNames(tx, listId, key, label)
  if (taken.key) found.key = [...(found.key ?? []), 'has already been taken']
  if (taken.label) found.label = [...(found.label ?? []), 'has already been taken']
}

function findErrors(field: NewCustomField): FieldErrors {
  const found: FieldErrors = {}
  if (reservedKeys.has(field.key)) found.key = ['is reserved']
  const { pattern, defaultValue } = field
  const patternError = pattern === null ? undefined : findPatternError(pattern, field)
  if (patternError !== undefined) found.pattern = [patternError]
  if (defaultValue === null || defaultValue === '') return found
  const result = readValue({ ...field, isEnforced: false }, defaultValue)
  if ('error' in result) {
    const tooLong = `is too long (maximum is ${field.maxLength} characters)`
    found.default_value = [result.error === 'length' ? tooLong : `is not a ${field.contentType}`]
  } else if (pattern !== null && patternError === undefined) {
    const matches = new PatternBudget().matches({ pattern, isEnforced: true }, defaultValue)
    if (matches === undefined) found.default_value = ['is too long for the pattern: shorten one of them']
    else if (!matches) found.default_value = ['does not match the pattern']
  }
  return found
}

/** Returns what is wrong with a pattern, and what its caller can change. */
function findPatternError(pattern: string, { maxLength, isEnforced }: NewCustomField): string | undefined {
  const size = sizeOfPattern(pattern)
  if (size === undefined) return 'is invalid'
  if (size === Number.POSITIVE_INFINITY) return 'is too large: shorten it, or lower its repetitions'
  if (size > maxProgramSize) {
    return `is too large: it has ${size} instructions (maximum is ${maxProgramSize}); lower its repetitions, or shorten it`
  }
  if (!isEnforced || size * maxLength <= maxSteps) return undefined
  const longest = Math.floor(maxSteps / size)
  return `is too slow for values of ${maxLength} characters: lower max_length to ${longest}, or shorten the pattern`
}

function invalidField(found: FieldErrors) {
  return errors.invalid(Object.fromEntries(Object.entries(found).map(([k, v]) => [`custom_field.${k}`, v])))
}
