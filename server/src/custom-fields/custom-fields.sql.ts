/**
 * Returns an SQL expression for the fields of a list as JSON (`ValueRules[]`), for statements that read subscribers.
 */
export function customFieldsJson(listId: string): string {
  return /* sql */ `
  (select coalesce(json_agg(json_build_object(
            'key', f.key, 'contentType', f.content_type, 'maxLength', f.max_length, 'pattern', f.pattern,
            'isEnforced', f.should_validate_regex_via_api, 'defaultValue', f.default_value) order by f.id), '[]')
     from custom_fields f where f.list_id = ${listId})`
}
