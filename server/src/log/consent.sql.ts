import { raw, type Sql, sql } from '../db/sql.ts'
import type { Chunk } from './chunk.ts'

const notOptedOut = `(s.state is null or s.state in ('pending', 'subscribed'))`

/**
 * The SQL condition under which a number may be texted; the statement that marks its text as submitting checks it
 * again. Only a reply to the person's own text is sent to a blocked number.
 */
export const consentGiven: Record<Chunk['consent'], string> = {
  subscribed: `(s.state = 'subscribed' and b.since is null)`,
  not_opted_out: `(${notOptedOut} and b.since is null)`,
  opt_in_request: `(${notOptedOut} and b.since is null)`,
  reply: 'true',
}

/**
 * A join that adds the block `b` of each recipient `r`, if it stops the message: a reply to the person's own text is sent
 * regardless, and an opt-in request despite an older block, which the add has checked.
 */
export function blockOfRecipient({ consent, shortCodeId, messageId }: Chunk): Sql {
  if (consent === 'reply') return raw('cross join (select null::timestamptz as since) b')
  const since =
    consent === 'opt_in_request' ? sql`and since >= (select created_at from messages where id = ${messageId})` : raw('')
  return sql`
        left join lateral (select since from blocks
                            where short_code_id = ${shortCodeId} and phone = r.phone ${since} offset 0) b on true`
}
