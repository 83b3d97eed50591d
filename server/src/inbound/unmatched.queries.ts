import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'

/** An MO with a sender that is not a phone number, or with a destination that is not one of our short codes. */
export type UnmatchedInbound = {
  id: number
  problem: 'sender' | 'destination'
  sourceAddress: string
  destination: string
  content: string
  dataCoding: number
  esmClass: number
  kind: string | null
  receivedAt: Date
}

/** Returns one page of a connection's unmatched MOs, newest first. */
export function listUnmatchedInbound(db: Db, connectionId: number, page: PageBounds) {
  return db.many<UnmatchedInbound>(
    'list_unmatched_inbound',
    /* sql */ `
    select id, problem, source_addr as "sourceAddress", short_code as destination, content, data_coding as "dataCoding",
           esm_class as "esmClass", kind, received_at as "receivedAt"
      from inbound_messages
     where connection_id = $1 and problem is not null
     order by id desc limit $2 offset $3`,
    [connectionId, page.perPage, page.offset],
  )
}

export async function countUnmatchedInbound(db: Db, connectionId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_unmatched_inbound',
    /* sql */ `select count(*) as n from inbound_messages where connection_id = $1 and problem is not null`,
    [connectionId],
  )
  return n
}
