import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { listEvents } from '../events/event-types.ts'
import { lastReportedText, lastTexts, openTexts } from '../log/last-texts.sql.ts'

const responseBit = listEvents.campaign_response.bit

/** Returns those of these short codes whose account has a receiver of replies: a webhook, a callback or the feed. */
export async function listCodesWithListeners(tx: Db, codes: string[]): Promise<Set<string>> {
  const rows = await tx.many<{ code: string }>(
    'list_codes_with_listeners',
    /* sql */ `
    select s.code
      from unnest($1::text[]) as given(code)
      join short_codes s on s.code = given.code
      join accounts a on a.id = s.account_id
     where a.event_feed
        or exists (select from lists l
                    where l.account_id = a.id and l.deleted_at is null and l.listeners & ${responseBit} <> 0)
        or exists (select from messages m where m.short_code_id = s.id and m.is_reported)`,
    [codes],
  )
  return new Set(rows.map(({ code }) => code))
}

/** A text that may be a reply; `form` is its text as it is compared with keywords, null if it is too long for one. */
export type InboundReply = { phone: number; shortCode: string; content: string; form: string | null; receivedAt: Date }

/**
 * Inserts `campaign_response` or `transactional_message_reply` for those of these texts that reply to a message that has a receiver.
 * The message is the last one that the short code sent to the phone before the text, of any list or with a receiver of its own, except
 * those that bounced. Keywords are no replies, nor are texts that answer an opt-in question: YES while one is open, and any
 * text if the question is newer than the message.
 */
export function insertReplyEvents(tx: Db, replies: InboundReply[], at: Date): Promise<number> {
  return tx.exec(
    'insert_reply_events',
    sql`
    with ${openTexts(param(replies.map(({ phone }) => phone)))}, reply as materialized (
      select r.n, r.phone, r.content, r.form, r.received_at, s.id as short_code_id,
             array(select l.id from lists l where l.short_code_id = s.id
                    union
                   select f.list_id from former_short_codes f where f.short_code_id = s.id) as list_ids
        from unnest(${replies.map(({ phone }) => phone)}::bigint[], ${replies.map(({ shortCode }) => shortCode)}::text[],
                    ${replies.map(({ content }) => content)}::text[], ${replies.map(({ form }) => form)}::text[],
                    ${replies.map(({ receivedAt }) => receivedAt)}::timestamptz[])
               with ordinality as r(phone, code, content, form, received_at, n)
        join short_codes s on s.code = r.code
       where not exists (select from keywords k join lists l on l.id = k.list_id
                          where k.short_code_id = s.id and k.released_at is null and l.deleted_at is null
                            and translate(normalize(k.name, nfkc), '-_', '') = r.form)
    ), answered as materialized (
      select r.*, t.message_id, t.submitted_at
        from reply r
       cross join lateral (
         select * from (
           select l.message_id, l.submitted_at
             from ${lastTexts('r.phone', sql`r.list_ids`)} l
            where l.short_code_id = r.short_code_id
              and (l.list_id is not null and l.kind <> 'system' or l.is_reported)
            union all
           (${lastReportedText(sql`r.short_code_id`, 'r.phone')})) text
          where text.submitted_at <= r.received_at
          order by submitted_at desc, message_id desc limit 1) t
    )
    insert into event_outbox (account_id, list_id, type, phone, occurred_at, callback_url, time_zone, facts)
    select m.account_id, m.list_id, case when m.list_id is null then 'transactional_message_reply' else 'campaign_response' end,
           a.phone, ${at}::timestamptz, m.webhook_callback_url, c.time_zone,
           jsonb_build_object('messageId', m.id, 'receivedAt', a.received_at, 'reply', a.content)
             || case when m.list_id is null
                     then jsonb_build_object('carrier', n.carrier, 'carrierName', n.carrier_name)
                     else jsonb_build_object(
                            'sentAt', a.submitted_at, 'content', m.content, 'subscriber', to_jsonb(s), 'optId', i.id,
                            'lastOptIn', case when i.id is not null
                                              then jsonb_build_object('method', i.method, 'keyword', i.keyword_name) end) end
      from answered a
      join messages m on m.id = a.message_id
      join accounts c on c.id = m.account_id
      left join lists l on l.id = m.list_id
      left join subscribers s on s.list_id = l.id and s.phone = a.phone
      left join lateral (select o.id, o.method, o.keyword_name from opts o
                          where o.list_id = l.id and o.phone = a.phone and o.kind = 'opt_in'
                          order by o.id desc limit 1) i on true
      left join number_look_ups n on n.phone = a.phone
     where (c.event_feed or m.webhook_callback_url is not null or l.listeners & ${responseBit} <> 0)
       and (l.id is null or l.deleted_at is null)
       and not exists (select from lists q join subscribers p on p.list_id = q.id and p.phone = a.phone
                        where q.short_code_id = a.short_code_id and q.deleted_at is null and p.state = 'pending'
                          and (p.opt_in_requested_at > a.submitted_at
                               or a.form = 'YES' and p.opt_in_requested_at is not null))
     order by a.n`,
  )
}

/** A part of a longer text: `total` parts with this reference make one text. */
export type InboundPart = { id: number; phone: number; shortCode: string; reference: number | null; total: number }

/** Number of the latest texts of a phone among which the parts of its text are searched. */
const maxMos = 1_000

/**
 * Returns the text of the interpreted parts with this part's reference that arrived at `since` or later, and marks them and their
 * copies as `reply`, so that they make one text only. If one is missing, it returns undefined and marks this part as `part`, unless it
 * is a copy. The caller must have locked the phone's texts.
 */
export function takeWholeText(tx: Db, { id, phone, shortCode, reference, total }: InboundPart, since: Date) {
  return tx.maybeOne<{ content: string; receivedAt: Date }>(
    'take_whole_text',
    /* sql */ `
    with received as materialized (
      select id, part_number, content, received_at, kind
        from (select * from inbound_messages where phone = $1 order by id desc limit ${maxMos}) i
       where short_code = $2 and part_reference is not distinct from $3 and part_total = $4
         and part_number between 1 and $4 and interpreted_at is not null and received_at >= $5
    ), part as materialized (
      select distinct on (part_number) * from received where kind in ('other', 'part') order by part_number, id
    ), taken as (
      update inbound_messages i set kind = 'reply'
       where i.id = any(array(select r.id from received r join part p using (part_number, content)))
         and (select count(*) from part) = $4
    ), waiting as (
      update inbound_messages i set kind = 'part'
        from received r
       where i.id = $6 and r.id = i.id and r.kind = 'other' and (select count(*) from part) < $4
         and not exists (select from received c
                          where c.kind = 'reply' and c.part_number = r.part_number and c.content = r.content)
    )
    select string_agg(content, '' order by part_number) as content, min(received_at) as "receivedAt"
      from part having count(*) = $4`,
    [phone, shortCode, reference, total, since, id],
  )
}

/** The parts of a text of which one did not arrive. */
export type IncompleteText = Omit<InboundPart, 'id'> & { dataCoding: number }

/** Returns up to `limit` texts with a missing part whose other parts arrived before a time. */
export function listIncompleteTexts(db: Db, before: Date, limit: number) {
  return db.many<IncompleteText>(
    'list_incomplete_texts',
    /* sql */ `
    select phone, short_code as "shortCode", part_reference as reference, part_total as total,
           min(data_coding) as "dataCoding"
      from inbound_messages where kind = 'part'
     group by phone, short_code, part_reference, part_total having max(received_at) < $1
     order by max(received_at) limit $2`,
    [before, limit],
  )
}

/**
 * Returns the parts of such a text with `[…]` for each missing one, and marks them as `reply`; undefined if another worker has
 * done so. The caller must have locked the phone's texts.
 */
export function takeIncompleteText(tx: Db, { phone, shortCode, reference, total }: IncompleteText, before: Date) {
  return tx.maybeOne<{ content: string; receivedAt: Date }>(
    'take_incomplete_text',
    /* sql */ `
    with taken as (
      update inbound_messages set kind = 'reply'
       where kind = 'part' and phone = $1 and short_code = $2 and part_reference is not distinct from $3 and part_total = $4
         and received_at < $5
      returning id, part_number, content, received_at
    ), part as (
      select distinct on (part_number) * from taken order by part_number, id
    )
    select string_agg(coalesce(p.content, '[…]'), '' order by n) as content, min(p.received_at) as "receivedAt"
      from generate_series(1, $4::int) n left join part p on p.part_number = n
    having count(p.id) > 0`,
    [phone, shortCode, reference, total, before],
  )
}
