import { type Static, Type } from 'typebox'
import { AppError, errors } from '../errors.ts'
import { accepted, Flag, Id, isSet, TextOrNull, Time, Whole } from '../http/schema.ts'
import { formatTimeWithMs } from '../lib/format-time.ts'
import type { CustomField, NewCustomField } from './custom-fields.queries.ts'
import { type ContentType, type CustomValue, type ValueRules, valueOrDefault } from './values.ts'

const contentTypes: readonly string[] = ['text', 'datetime', 'number'] satisfies ContentType[]

const maxFieldLength = 9_999

const MaxLength = Type.Unsafe<number | string | null>({
  type: ['integer', 'string', 'null'],
  // not a limit of the schema, because the contract fixes the messages
  documented: {
    ...Whole(1, maxFieldLength, 'Maximum length of a value in characters. Required.'),
    examples: [50],
  },
})

export const CustomFieldCreateBody = Type.Object({
  custom_field: Type.Object(
    {
      label: Type.String({ maxLength: 255, pattern: '\\S', description: 'Name for people; unique in the list.' }),
      key: Type.String({
        maxLength: 63,
        pattern: '^[a-z0-9_]+$',
        description:
          'The merge tag, which names the value in a subscriber. Unique in the list; must not be a standard key of subscribers.',
      }),
      content_type: Type.String({ maxLength: 50, description: '`text`, `datetime` or `number`.', examples: ['text'] }),
      max_length: Type.Optional(MaxLength),
      pattern: Type.Optional(
        TextOrNull({
          maxLength: 255,
          description:
            'Regular expression in RE2 syntax. It may match anywhere in a value; anchor it to match the whole value.',
        }),
      ),
      should_validate_regex_via_api: Type.Optional(Flag('Whether to reject values without a match of the pattern.')),
      default_value: Type.Optional(
        accepted<string | number | null>({
          type: ['string', 'number', 'null'],
          documented: ['string', 'null'],
          maxLength: 9_999,
          description: 'Value of subscribers without their own. Must have the type and match the pattern.',
        }),
      ),
    },
    { title: 'CustomFieldCreation' },
  ),
})

export const CustomFieldDeleteBody = Type.Object({ key: Type.String({ maxLength: 255 }) })

const described = {
  key: Type.String(),
  pattern: TextOrNull(),
  max_length: Whole(1, maxFieldLength),
  default_value: TextOrNull(),
  label: Type.String(),
  content_type: Type.Unsafe<ContentType>({ type: 'string', enum: contentTypes }),
  should_validate_regex_via_api: Type.Boolean(),
}

const CustomFieldSchema = Type.Object(described, { title: 'CustomField' })

const CustomFieldDetailSchema = Type.Object(
  {
    list_id: Id('Id of the list.'),
    ...described,
    can_insert: Type.Boolean(),
    can_segment: Type.Boolean(),
    created_at: Time,
    updated_at: Time,
    mask: Type.Null(),
  },
  { title: 'CustomFieldDetail' },
)

export const CustomFieldsResponse = Type.Object({
  status: Type.Literal('OK'),
  custom_fields: Type.Array(CustomFieldSchema),
})
export const CustomFieldResponse = Type.Object({ status: Type.Literal('OK'), custom_field: CustomFieldDetailSchema })
export const CustomFieldDeletedResponse = Type.Object({ status: Type.Literal('Custom field successfully deleted') })

export function presentCustomField(field: CustomField): Static<typeof CustomFieldSchema> {
  return {
    key: field.key,
    pattern: field.pattern,
    max_length: field.maxLength,
    default_value: field.defaultValue,
    label: field.label,
    content_type: field.contentType,
    should_validate_regex_via_api: field.isEnforced,
  }
}

/** Presents a field with the keys of the response to its creation. */
export function presentCustomFieldDetail(field: CustomField, timeZone: string): Static<typeof CustomFieldDetailSchema> {
  const { label, content_type, should_validate_regex_via_api, ...first } = presentCustomField(field)
  return {
    list_id: field.listId,
    ...first,
    can_insert: true,
    can_segment: true,
    created_at: formatTimeWithMs(field.createdAt, timeZone),
    updated_at: formatTimeWithMs(field.updatedAt, timeZone),
    mask: null,
    label,
    content_type,
    should_validate_regex_via_api,
  }
}

/** Reads the field from a body; throws for errors that the schema cannot express. */
export function readNewField({ custom_field: body }: Static<typeof CustomFieldCreateBody>): NewCustomField {
  if (!contentTypes.includes(body.content_type)) throw contentTypeNotAllowed(body.content_type)
  const maxLength = Number(body.max_length ?? 0)
  const error = maxLengthError(maxLength)
  if (error !== undefined) throw errors.invalid({ 'custom_field.max_length': [error] })
  return {
    key: body.key,
    label: body.label.trim(),
    contentType: body.content_type as ContentType,
    maxLength,
    pattern: body.pattern || null,
    defaultValue: body.default_value === undefined || body.default_value === null ? null : String(body.default_value),
    isEnforced: isSet(body.should_validate_regex_via_api),
  }
}

function maxLengthError(length: number): string | undefined {
  if (!Number.isInteger(length)) return 'is not a number'
  if (length < 1) return 'must be greater than 0'
  return length > maxFieldLength ? `must be less than or equal to ${maxFieldLength}` : undefined
}

/** The contract fixes this message. */
function contentTypeNotAllowed(contentType: string) {
  const message = `Content type ${contentType} not allowed. Allowed types are: ${contentTypes.join(', ')}`
  return new AppError(422, 'invalid', message, { 'custom_field.content_type': ['is not included in the list'] })
}

/** Presents the values of a subscriber, with a key for each field of the list. */
export function presentValues(
  fields: ValueRules[],
  stored: Record<string, unknown>,
  timeZone: string,
): Record<string, CustomValue | null> {
  return Object.fromEntries(fields.map((field) => [field.key, presentValue(field, stored, timeZone)]))
}

function presentValue(field: ValueRules, stored: Record<string, unknown>, timeZone: string): CustomValue | null {
  const value = valueOrDefault(field, stored)
  return field.contentType === 'datetime' && value !== null ? formatTimeWithMs(new Date(value), timeZone) : value
}
