import { type Sql, sql } from '../db/sql.ts'

/**
 * Returns an SQL expression for subscriber `s`'s values of these fields, in the order of the keys. A longer text is cut
 * one character after `longest`. The concatenation decompresses the subscriber's fields once, instead of once per key.
 */
export function fieldValues(keys: Sql, longest: number): Sql {
  return sql`array(
    select case when length(fields ->> key) > ${longest}::int and jsonb_typeof(fields -> key) = 'string'
                then to_jsonb(left(fields ->> key, ${longest}::int + 1)) else fields -> key end
      from (select s.custom_fields || '{}'::jsonb as fields offset 0) decompressed
     cross join unnest(${keys}::text[]) with ordinality as field(key, n)
     order by n)`
}

/**
 * Returns an SQL expression for the fields of a list as JSON (`ValueRules[]`), for statements that read subscribers. Most lists
 * have no fields, for which the array is not built, and an array costs less than an ordered aggregate: together an eighth of the
 * CPU time of a statement that reads nine subscribers (2026-11-29).
 */
export function customFieldsJson(listId: string): string {
  return /* sql */ `
  case when exists (select from custom_fields f where f.list_id = ${listId})
       then array_to_json(array(
              select json_build_object(
                       'key', f.key, 'contentType', f.content_type, 'maxLength', f.max_length, 'pattern', f.pattern,
                       'isEnforced', f.should_validate_regex_via_api, 'defaultValue', f.default_value)
                from custom_fields f where f.list_id = ${listId} order by f.id))
       else '[]' end`
}
