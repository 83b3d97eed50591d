import { type Sql, sql } from '../db/sql.ts'

/**
 * The lateral subquery (message_id, link) of a donation `d`: the message that it names, or else the last broadcast of its list that was
 * accepted before it and has one of its codes; and the link of that message with the code. No row if there is no such message.
 */
export const attributionOf: Sql = sql`lateral (
    select c.message_id, c.link
      from (select 'refcode' as kind, unnest(d.refcodes) as code union all select 'utm_campaign', d.utm_campaign) own
     cross join lateral (
       select message_id, link, position, accepted_at from message_codes
        where list_id = d.list_id and kind = own.kind and code = own.code and accepted_at <= d.donated_at
        order by accepted_at desc, message_id desc limit 1) c
     where d.message_id is null
     -- the same message by several codes: a refcode, and the first of its links
     order by c.accepted_at desc, c.message_id desc, own.kind, c.position limit 1
  )`

/** The link of the message that donation `d` names, by one of its codes; null if none of the links has it. */
export const namedLinkOf: Sql = sql`(
    select c.link
      from (select 'refcode' as kind, unnest(d.refcodes) as code union all select 'utm_campaign', d.utm_campaign) own
      join message_codes c on c.message_id = d.message_id and c.kind = own.kind and c.code = own.code
     order by c.kind, c.position limit 1)`

/**
 * The CTE `attributed` (id, link) of the donations of message `messageId`: those that name it, and those of its codes until the next
 * message with the same code, if no other code of theirs is that of a later message.
 */
export const attributedTo = (messageId: Sql): Sql => sql`
  attributed as materialized (
    select d.id, ${namedLinkOf} as link from donations d where d.message_id = ${messageId}
     union
    select d.id, a.link
      from message_codes c
     cross join lateral (
       select coalesce(min(accepted_at), 'infinity') as until
         from (select accepted_at from message_codes
                where list_id = c.list_id and kind = c.kind and code = c.code
                  and (accepted_at, message_id) > (c.accepted_at, c.message_id)
                order by accepted_at, message_id limit 1) after) next
     cross join lateral (
       select donation_id from donation_codes
        where list_id = c.list_id and kind = c.kind and code = c.code and donated_at >= c.accepted_at and donated_at < next.until
       offset 0) k
      join donations d on d.id = k.donation_id
     cross join ${attributionOf} a
     where c.message_id = ${messageId} and a.message_id = ${messageId}
  )`
