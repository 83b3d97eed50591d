import type { Db } from '../db/db.ts'
import { isDisabled } from '../log/disabled.sql.ts'
import { ofRound } from '../log/failures.sql.ts'
import type { Audience } from '../messages/audience/audience.ts'

export type OpenExpansion = { messageId: number }

/**
 * Returns up to 100 messages whose audience is not completely written, without those of disabled accounts: those whose
 * expansion has not failed, or only this one. Of each account the one with the lowest cursor, then a second one of each,
 * so that another worker finds one that is not locked.
 */
export function listOpenExpansions(db: Db, only: number | null) {
  return db.many<OpenExpansion>(
    'list_open_expansions',
    /* sql */ `
    select message_id as "messageId" from (
      select e.message_id, m.account_id,
             row_number() over (partition by m.account_id order by e.cursor_phone, e.message_id) as turn
        from expansions e
       cross join lateral (select account_id from messages where id = e.message_id offset 0) m
       where ${ofRound('expand', 'e.message_id', 1)} and not ${isDisabled('m.account_id')}
    ) open
     where turn <= 2
     order by turn, account_id limit 100`,
    [only],
  )
}

export type Cursor = {
  cursorPhone: number
  listId: number
  loggedOn: string
  /** The time at which the audience is taken: when the message was accepted, or when it fell due. */
  audienceAt: Date
  partCount: number
  /** Whether the message has audience filters. */
  isFiltered: boolean
  audience: Audience | null
  content: string
  maxParts: number | null
  linkBase: string | null
}

/**
 * Locks an expansion until the end of the transaction; returns undefined if another worker has locked it or it is
 * complete.
 */
export function claimExpansion(tx: Db, messageId: number) {
  return tx.maybeOne<Cursor>(
    'claim_expansion',
    /* sql */ `
    select e.cursor_phone as "cursorPhone", m.list_id as "listId", m.logged_on as "loggedOn",
           coalesce(m.starts_at, m.accepted_at) as "audienceAt", m.part_count as "partCount",
           m.audience is not null as "isFiltered", m.audience, m.content, m.max_parts as "maxParts", m.link_base as "linkBase"
      from expansions e join messages m on m.id = e.message_id
     where e.message_id = $1
       for update of e skip locked`,
    [messageId],
  )
}
