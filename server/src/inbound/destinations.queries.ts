import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { lastTexts, openTexts } from '../log/last-texts.sql.ts'
import type { ShortCodeLists } from '../opt-ins/opt-out.ts'

/**
 * Returns the short code of an MO with all its lists, including deleted lists and lists that moved to another short code,
 * because an opt-out applies to those as well.
 */
export function findShortCodeLists(tx: Db, code: string) {
  return tx.maybeOne<ShortCodeLists>(
    'find_short_code_lists',
    /* sql */ `
    select s.id as "shortCodeId", s.account_id as "accountId",
           array(select l.id from lists l where l.short_code_id = s.id
                  union
                 select f.list_id from former_short_codes f where f.short_code_id = s.id
                  order by id) as "listIds"
      from short_codes s where s.code = $1`,
    [code],
  )
}

/** Returns the short codes that send through a connection, with all their lists. */
function listServedShortCodes(tx: Db, connectionId: number) {
  return tx.many<ShortCodeLists>(
    'list_served_short_codes',
    /* sql */ `
    select s.id as "shortCodeId", s.account_id as "accountId",
           array(select l.id from lists l where l.short_code_id = s.id
                  union
                 select f.list_id from former_short_codes f where f.short_code_id = s.id
                  order by id) as "listIds"
      from short_codes s
     where exists (select from short_code_routes r where r.short_code_id = s.id and r.connection_id = $1)
        or (select serves_all from connections where id = $1)
           and not exists (select from short_code_routes r where r.short_code_id = s.id)
     order by s.id`,
    [connectionId],
  )
}

/** The short codes that an MO concerns; `isKnown` if its destination is one of ours. */
export type InboundDestination = { codes: ShortCodeLists[]; isKnown: boolean }

/**
 * Returns the short code that an MO was sent to, or, if it is not one of ours, all that send through its connection: some carriers
 * write the destination in another form, and a STOP to one of them must not be lost.
 */
export async function findDestination(
  tx: Db,
  { shortCode, connectionId }: { shortCode: string; connectionId: number },
): Promise<InboundDestination> {
  const code = await findShortCodeLists(tx, shortCode)
  return code
    ? { codes: [code], isKnown: true }
    : { codes: await listServedShortCodes(tx, connectionId), isKnown: false }
}

export type ReplyTexts = { listId: number; messageStop: string | null; messageHelp: string | null }

/**
 * Returns the reply texts of that one of these lists which sent the latest text to the phone, otherwise of that one which the phone
 * joined last; undefined if it is on none of them.
 */
export function findLastListTexts(tx: Db, phone: number, listIds: number[]) {
  const given = param(listIds)
  return tx.maybeOne<ReplyTexts>(
    'find_last_list_texts',
    sql`
    with ${openTexts(param([phone]))}, phone as (select ${phone}::bigint as number), last_text as materialized (
      select t.list_id
        from phone cross join lateral ${lastTexts('phone.number', sql`${given}::bigint[]`)} t
       where t.list_id = any(${given}::bigint[])
       order by t.submitted_at desc, t.message_id desc limit 1
    ), last_joined as (
      select s.list_id
        from phone
       cross join unnest(${given}::bigint[]) as given(id)
       cross join lateral (select list_id, opted_in_at from subscribers where list_id = given.id and phone = phone.number offset 0) s
       order by s.opted_in_at desc nulls last, s.list_id desc limit 1
    )
    select l.id as "listId", l.message_stop as "messageStop", l.message_help as "messageHelp"
      from lists l
     where l.id = coalesce((select list_id from last_text), (select list_id from last_joined))`,
  )
}
