import { type Static, Type } from 'typebox'
import { type Clicked, clickedWords } from '../../links/clicked.sql.ts'
import type { FieldTest } from './audience.ts'

const Tags = (description: string) =>
  Type.Optional(Type.Array(Type.String({ pattern: '\\S', maxLength: 255 }), { maxItems: 100, description }))

export const AudienceSchema = Type.Object(
  {
    tags_any: Tags('Has one of these tags.'),
    tags_all: Tags('Has all of these tags.'),
    tags_none: Tags('Has none of these tags.'),
    custom_fields: Type.Optional(
      Type.Array(
        Type.Object(
          {
            key: Type.String({ maxLength: 255 }),
            op: Type.Unsafe<FieldTest['op']>({ type: 'string', enum: ['eq', 'ne', 'gt', 'lt', 'contains', 'exists'] }),
            value: Type.Optional(
              Type.Unsafe<string | number | boolean | null>({
                type: ['string', 'number', 'boolean', 'null'],
                maxLength: 9_999,
                minimum: -Number.MAX_SAFE_INTEGER,
                maximum: Number.MAX_SAFE_INTEGER,
                description: 'The value to compare with; with `exists`, false tests that there is no value.',
              }),
            ),
          },
          { title: 'FieldCondition', additionalProperties: false },
        ),
        { maxItems: 20, description: 'Tests of stored values; the default of a field is not a stored value.' },
      ),
    ),
    clicks: Type.Optional(
      Type.Array(
        Type.Object(
          {
            message_id: Type.Integer({
              minimum: 1,
              maximum: Number.MAX_SAFE_INTEGER,
              description: 'A message of the account that was sent with tracked links, of any list.',
            }),
            clicked: Type.Unsafe<Clicked>({
              type: 'string',
              enum: [...clickedWords],
              description:
                'With a click of a person (human), or any click; without a click of a person (not_human), or without any (none), ' +
                'also if they did not receive the message.',
            }),
            link: Type.Optional(
              Type.String({
                maxLength: 5_000,
                description: 'Only clicks on this link, as in the content; by default, on any.',
              }),
            ),
          },
          { title: 'ClickCondition', additionalProperties: false },
        ),
        { maxItems: 20, description: 'Tests of the clicks until the audience is taken.' },
      ),
    ),
  },
  {
    title: 'Audience',
    additionalProperties: false,
    description:
      'Sends only to subscribers who match all filters when the audience is written. Unknown keys are an error.',
  },
)

/** The key of a body: null for the whole list. */
export const AudienceOrNull = Type.Optional(
  Type.Unsafe<Static<typeof AudienceSchema> | null>({
    ...AudienceSchema,
    type: ['object', 'null'],
    'x-extension': true,
  }),
)
