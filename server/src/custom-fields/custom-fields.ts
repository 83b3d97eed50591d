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

/** All fields of a list ride on every answer about one of its subscribers. */
const maxFields = 200

/**
 * Names that mean something else beside a subscriber's values: the keys of a body, those of an answer, and the columns
 * of an import.
 */
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
 * A new field of the list. Key and label belong to one field each: the indexes decide between two that come at once, and
 * all that is wrong is told in one sentence.
 */
export function createCustomField(
  rt: Clocked,
  accountId: number,
  listId: number,
  field: NewCustomField,
): Promise<CustomField> {
  return rt.db.tx(async (tx) => {
    await lockList(tx, accountId, listId)
    const faults = faultsOf(field)
    await addTakenNames(tx, listId, field, faults)
    if (Object.keys(faults).length > 0) throw refusal(faults)
    const { n } = await countCustomFields(tx, listId)
    if (n >= maxFields) throw refusal({ list: [`has too many custom fields (maximum is ${maxFields})`] })
    const made = await insertCustomField(tx, listId, field, rt.clock.now())
    if (made) return made
    await addTakenNames(tx, listId, field, faults)
    throw refusal(faults)
  })
}

/** The field is gone; the values that people have for it stay in their rows, and nobody sees them. */
export async function removeCustomField(rt: Clocked, accountId: number, listId: number, key: string): Promise<void> {
  await rt.db.tx(async (tx) => {
    await lockList(tx, accountId, listId)
    if ((await deleteCustomField(tx, listId, key)) === 0) throw errors.customFieldNotFound()
  })
}

type Faults = Record<string, string[]>

async function addTakenNames(tx: Db, listId: number, { key, label }: NewCustomField, faults: Faults) {
  const taken = await findTakenNames(tx, listId, key, label)
  if (taken.key) faults.key = [...(faults.key ?? []), 'has already been taken']
  if (taken.label) faults.label = [...(faults.label ?? []), 'has already been taken']
}

function faultsOf(field: NewCustomField): Faults {
  const faults: Faults = {}
  if (reservedKeys.has(field.key)) faults.key = ['is reserved']
  const { pattern, defaultValue } = field
  const isBadPattern = pattern !== null && !isValidPattern(pattern)
  if (isBadPattern) faults.pattern = ['is invalid']
  if (defaultValue === null || defaultValue === '') return faults
  const read = readValue({ ...field, isEnforced: false }, defaultValue)
  if ('fault' in read) {
    const tooLong = `is too long (maximum is ${field.maxLength} characters)`
    faults.default_value = [read.fault === 'length' ? tooLong : `is not a ${field.contentType}`]
  } else if (pattern !== null && !isBadPattern && !matchesPattern(pattern, defaultValue)) {
    faults.default_value = ['does not fit the pattern']
  }
  return faults
}

function refusal(faults: Faults) {
  return errors.invalid(Object.fromEntries(Object.entries(faults).map(([k, v]) => [`custom_field.${k}`, v])))
}
