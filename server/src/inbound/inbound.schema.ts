import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { accepted, Id, TextOrNull, Time, Whole } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import type { UnmatchedInbound } from './unmatched.queries.ts'

const UnmatchedMoSchema = Type.Object(
  {
    id: Id('Id of the MO.'),
    problem: Type.Unsafe<string>({
      type: 'string',
      enum: ['sender', 'destination'],
      description:
        'The unknown address: the `sender` is not a phone number, or the `destination` is not one of our short codes.',
    }),
    source_address: Type.String({ description: 'The sender as the carrier wrote it.' }),
    destination_address: Type.String({ description: 'The destination as the carrier wrote it.' }),
    content: Type.String({ description: 'The text.' }),
    data_coding: Whole(0, 255),
    esm_class: Whole(0, 255),
    kind: TextOrNull({
      description: '`opt_out`, `help`, `opt_in` (it lifted a block) or `other`; null until it is interpreted.',
    }),
    received_at: Time,
    applied_at: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      format: 'date-time',
      description:
        'When the opt-out took effect; null for other texts, and for an opt-out that concerned no short code yet.',
    }),
  },
  { title: 'UnmatchedMo' },
)

/** The id of an unmatched MO in a path. */
export const UnmatchedMoIdParam = idParam('Id of the MO.', errors.unmatchedMoNotFound)

export const UnmatchedMoApplyBody = Type.Object({
  phone_number: Type.Optional(
    accepted<string | number | null>({
      type: ['string', 'integer', 'null'],
      documented: 'string',
      maxLength: 40,
      description: 'The phone number that sent the opt-out. Required if the `problem` is `sender`, ignored otherwise.',
    }),
  ),
})

export const UnmatchedMoApplied = Type.Object({
  status: Type.Literal('Opt-out will be applied'),
  unmatched_mo: UnmatchedMoSchema,
})

/** Returns the phone number of a body; throws for anything else than a number, null or a missing key. */
export function readApplyBody({ phone_number }: Static<typeof UnmatchedMoApplyBody>): number | undefined {
  if (phone_number === undefined || phone_number === null) return undefined
  const phone = parsePhoneNumber(phone_number)
  if (phone === undefined) throw errors.invalid({ phone_number: ['is not a phone number'] })
  return phone
}

export const UnmatchedMoPage = pageSchema('unmatched_mos', UnmatchedMoSchema)

/** Returns an unmatched MO as in the response. */
export function presentUnmatched(mo: UnmatchedInbound, timeZone: string): Static<typeof UnmatchedMoSchema> {
  return {
    id: mo.id,
    problem: mo.problem,
    source_address: mo.sourceAddress,
    destination_address: mo.destination,
    content: mo.content,
    data_coding: mo.dataCoding,
    esm_class: mo.esmClass,
    kind: mo.kind,
    received_at: formatTime(mo.receivedAt, timeZone),
    applied_at: mo.appliedAt === null ? null : formatTime(mo.appliedAt, timeZone),
  }
}
