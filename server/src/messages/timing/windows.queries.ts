import type { Db } from '../../db/db.ts'

type MinuteRange = { from: number; to: number } | null

/** The settings of a message, its list and its account that restrict when its texts may be sent. */
export type MessageTiming = {
  accountId: number
  kind: 'broadcast' | 'transactional' | 'system'
  cancelled: boolean
  localAt: string | null
  deliverBy: Date | null
  quietHours: boolean
  sendHours: MinuteRange
  listQuietHours: boolean
  listSendHours: MinuteRange
  accountQuietHours: boolean
  accountTransactionalQuietHours: boolean
}

const minutesOf = (column: string) => `(extract(epoch from ${column}::interval) / 60)::int`

/** SQL for the hours of the day as minutes since midnight; null if there are none. */
export const hoursOf = (alias: string) => /* sql */ `
  case when ${alias}.send_from is not null
       then json_build_object('from', ${minutesOf(`${alias}.send_from`)}, 'to', ${minutesOf(`${alias}.send_to`)}) end`

/** Returns the timing of these messages by their ids. */
export async function readTimings(db: Db, messageIds: number[]): Promise<Map<number, MessageTiming>> {
  const rows = await db.many<MessageTiming & { id: number }>(
    'read_timings',
    /* sql */ `
    select m.id, m.account_id as "accountId", m.kind, m.status = 'cancelled' as cancelled,
           to_char(m.local_at, 'YYYY-MM-DD"T"HH24:MI:SS') as "localAt", m.deliver_by as "deliverBy",
           m.quiet_hours as "quietHours", ${hoursOf('m')} as "sendHours",
           coalesce(l.quiet_hours, false) as "listQuietHours", ${hoursOf('l')} as "listSendHours",
           a.quiet_hours as "accountQuietHours", a.quiet_hours_transactional as "accountTransactionalQuietHours"
      from messages m join accounts a on a.id = m.account_id left join lists l on l.id = m.list_id
     where m.id = any($1::bigint[])`,
    [messageIds],
  )
  return new Map(rows.map(({ id, ...timing }) => [id, timing]))
}

/** Returns the timing of a broadcast to the list without settings of its own. */
export function readTimingOfList(db: Db, listId: number) {
  return db.one<MessageTiming>(
    'read_timing_of_list',
    /* sql */ `
    select l.account_id as "accountId", 'broadcast' as kind, false as cancelled, null as "localAt", null as "deliverBy",
           false as "quietHours", null as "sendHours", l.quiet_hours as "listQuietHours", ${hoursOf('l')} as "listSendHours",
           a.quiet_hours as "accountQuietHours", a.quiet_hours_transactional as "accountTransactionalQuietHours"
      from lists l join accounts a on a.id = l.account_id
     where l.id = $1`,
    [listId],
  )
}
