import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { lockList } from '../lists/lists.ts'
import type { Runtime } from '../runtime.ts'
import {
  type CustomField,
  countCustomFields,
  deleteCustomField,
  findTakenNames,
  insertCustomField,
  type NewCustomField,
} from './custom-fields.queries.ts'
import { isValidPattern, matchesPattern } from './pattern.ts'
import { readValue } from './values.ts'

type Clocked = Pick<Runtime, 'db' | 'clock'>

/** Every response with a subscriber includes all fields of the list. */
const maxFields = 200

/** Keys that a subscriber already has in request bodies, in responses or as a column of an import. */
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
  '__proto__',
])

/**
 * Creates a field of the list. Key and label are unique in the list; unique indexes decide between concurrent requests.
 * Throws one error with all invalid values.
 */
export function createCustomField(
  rt: Clocked,
  accountId: number,
  listId: number,
  field: NewCustomField,
): Promise<CustomField> {
  return rt.db.tx(async (tx) => {
    await lockList(tx, accountId, listId)
    const found = findErrors(field)
    await addTakenNames(tx, listId, field, found)
    if (Object.keys(found).length > 0) throw invalidField(found)
    const { n } = await countCustomFields(tx, listId)
    if (n >= maxFields) throw invalidField({ list: [`has too many custom fields (maximum is ${maxFields})`] })
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
  const isInvalidPattern = pattern !== null && !isValidPattern(pattern)
  if (isInvalidPattern) found.pattern = ['is invalid']
  if (defaultValue === null || defaultValue === '') return found
  const result = readValue({ ...field, isEnforced: false }, defaultValue)
  if ('error' in result) {
    const tooLong = `is too long (maximum is ${field.maxLength} characters)`
    found.default_value = [result.error === 'length' ? tooLong : `is not a ${field.contentType}`]
  } else if (pattern !== null && !isInvalidPattern && !matchesPattern(pattern, defaultValue)) {
    found.default_value = ['does not match the pattern']
  }
  return found
}

function invalidField(found: FieldErrors) {
  return errors.invalid(Object.fromEntries(Object.entries(found).map(([k, v]) => [`custom_field.${k}`, v])))
}
