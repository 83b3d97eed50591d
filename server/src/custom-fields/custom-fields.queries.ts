import type { Db } from '../db/db.ts'
import type { ContentType } from './values.ts'

export type NewCustomField = {
  key: string
  label: string
  contentType: ContentType
  maxLength: number
  pattern: string | null
  defaultValue: string | null
  isEnforced: boolean
}

export type CustomField = NewCustomField & { listId: number; createdAt: Date; updatedAt: Date }

const columns = /* sql */ `
  list_id as "listId", key, label, content_type as "contentType", max_length as "maxLength", pattern,
  default_value as "defaultValue", should_validate_regex_via_api as "isEnforced", created_at as "createdAt",
  updated_at as "updatedAt"`

/** Returns the list's fields, oldest first. */
export function listCustomFields(db: Db, listId: number) {
  return db.many<CustomField>(
    'list_custom_fields',
    /* sql */ `select ${columns} from custom_fields where list_id = $1 order by id`,
    [listId],
  )
}

/** Inserts and returns a field; returns undefined if another field has its key or label. */
export function insertCustomField(db: Db, listId: number, field: NewCustomField, now: Date) {
  return db.maybeOne<CustomField>(
    'insert_custom_field',
    /* sql */ `
    insert into custom_fields (list_id, key, label, content_type, max_length, pattern, default_value,
                               should_validate_regex_via_api, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
        on conflict do nothing
    returning ${columns}`,
    [
      listId,
      field.key,
      field.label,
      field.contentType,
      field.maxLength,
      field.pattern,
      field.defaultValue,
      field.isEnforced,
      now,
    ],
  )
}

/** Returns whether the key and the label are in use in the list. */
export function findTakenNames(db: Db, listId: number, key: string, label: string) {
  return db.one<{ key: boolean; label: boolean }>(
    'find_taken_field_names',
    /* sql */ `
    select exists (select from custom_fields where list_id = $1 and key = $2) as key,
           exists (select from custom_fields where list_id = $1 and label = $3) as label`,
    [listId, key, label],
  )
}

/** Returns the number of deleted fields, 0 or 1. */
export function deleteCustomField(db: Db, listId: number, key: string) {
  return db.exec('delete_custom_field', /* sql */ `delete from custom_fields where list_id = $1 and key = $2`, [
    listId,
    key,
  ])
}
