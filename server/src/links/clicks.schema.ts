import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageQuery, pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { Time } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import type { StoredClick } from './clicks.queries.ts'

/** The id of the message whose clicks are listed. */
export const ClickedMessageIdParam = idParam('Id of the message.', errors.messageNotFound)

export const ClicksQuery = Type.Object({
  ...pageQuery,
  phone_number: Type.Optional(Type.String({ maxLength: 40, description: 'Only the clicks of this recipient.' })),
})

const ClickSchema = Type.Object(
  {
    link: Type.String({ description: 'The link of the content that was opened.' }),
    phone_number: Type.String({ description: 'The recipient of the short URL.' }),
    clicked_at: Time,
    human: Type.Boolean({ description: 'Whether no rule attributes the click to a machine.' }),
    rule: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description: 'The rule that attributes it to a machine: head, prefetch, scanner, before_delivery or burst.',
    }),
  },
  { title: 'Click' },
)

export const ClickPage = pageSchema('clicks', ClickSchema)

export function presentClick(click: StoredClick, timeZone: string): Static<typeof ClickSchema> {
  return {
    link: click.link,
    phone_number: formatPhoneNumber(click.phone),
    clicked_at: formatTime(click.clickedAt, timeZone),
    human: click.rule === null,
    rule: click.rule,
  }
}
