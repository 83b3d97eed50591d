import { type Static, Type } from 'typebox'
import { pageSchema } from '../http/pagination.ts'
import { formatTime, TextOrNull, Time } from '../http/schema.ts'
import type { UnmatchedInbound } from './unmatched.queries.ts'

const UnmatchedMoSchema = Type.Object(
  {
    id: Type.Integer(),
    problem: Type.Unsafe<string>({
      type: 'string',
      enum: ['sender', 'destination'],
      description:
        'The unknown address: the `sender` is not a phone number, or the `destination` is not one of our short codes.',
    }),
    source_address: Type.String({ description: 'The sender as the carrier wrote it.' }),
    destination_address: Type.String({ description: 'The destination as the carrier wrote it.' }),
    content: Type.String({ description: 'The text.' }),
    data_coding: Type.Integer(),
    esm_class: Type.Integer(),
    kind: TextOrNull({
      description: '`opt_out`, `help`, `opt_in` (it lifted a block) or `other`; null until it is interpreted.',
    }),
    received_at: Time,
  },
  { title: 'UnmatchedMo' },
)

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
  }
}
