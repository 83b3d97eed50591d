import type { Db } from '../db/db.ts'

export type LinkCode = { kind: 'refcode' | 'utm_campaign'; code: string; link: string; position: number }

/** Inserts the codes of a message that was accepted. */
export function insertCodes(tx: Db, messageId: number, codes: LinkCode[]) {
  return tx.exec(
    'insert_message_codes',
    /* sql */ `
    insert into message_codes (message_id, kind, code, list_id, accepted_at, link, position)
    select m.id, c.kind, c.code, m.list_id, m.accepted_at, c.link, c.position
      from messages m
     cross join unnest($2::text[], $3::text[], $4::text[], $5::smallint[]) as c(kind, code, link, position)
     where m.id = $1`,
    [
      messageId,
      codes.map(({ kind }) => kind),
      codes.map(({ code }) => code),
      codes.map(({ link }) => link),
      codes.map(({ position }) => position),
    ],
  )
}
