import type { Db } from '../db/db.ts'
import type { ShortCodeLists } from '../opt-ins/opt-out.ts'

export type NewInbound = {
  connectionId: number
  shortCode: string
  phone: number
  content: string
  raw: Buffer
  dataCoding: number
  receivedAt: Date
}

/** Stores an MO, to be interpreted, and answers its id. */
export async function insertInbound(db: Db, mo: NewInbound): Promise<number> {
  const { id } = await db.one<{ id: number }>(
    'insert_inbound',
    /* sql */ `
    insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
    values ($1, $2, $3, $4, $5, $6, $7) returning id`,
    [mo.connectionId, mo.shortCode, mo.phone, mo.content, mo.raw, mo.dataCoding, mo.receivedAt],
  )
  return id
}

/** Those of these MOs that are read: what they ask for is done, but for its confirmation. */
export async function listHandled(db: Db, ids: number[]): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    'list_read',
    /* sql */ `
    select id from inbound_messages
     where id = any($1::bigint[]) and (interpreted_at is not null or opted_out_at is not null)`,
    [ids],
  )
  return rows.map(({ id }) => id)
}

export type WaitingInbound = {
  id: number
  optedOut: boolean
  /** An opt-out of the same handset comes before it and is still to be confirmed: help is not answered before that. */
  isBehind: boolean
}

/**
 * The oldest MO of each handset to a short code that is not read yet, and the oldest whose opt-out is still to be
 * confirmed: so many of either kind, the first of those that were not read yet, and of the others those that wait longest.
 */
export function listWaitingInbound(db: Db, limits: { unread: number; optedOut: number }) {
  return db.many<WaitingInbound>(
    'list_waiting_inbound',
    /* sql */ `
    with waiting as materialized (
      select id, opted_out_at, bool_or(opted_out_at is not null) over (partition by phone, short_code) as behind,
             row_number() over (partition by phone, short_code, opted_out_at is not null order by id) as n
        from inbound_messages where interpreted_at is null
    )
    (select id, false as "optedOut", behind as "isBehind"
       from waiting where n = 1 and opted_out_at is null order by behind, id limit $1)
    union all
    (select id, true as "optedOut", false as "isBehind"
       from waiting where n = 1 and opted_out_at is not null order by opted_out_at, id limit $2)`,
    [limits.unread, limits.optedOut],
  )
}

export type Inbound = { id: number; phone: number; shortCode: string; content: string; listsLeft: number | null }

/**
 * Locks an MO that still waits to be read, or for its opt-out to be confirmed; undefined when another gateway has it or
 * has dealt with it meanwhile.
 */
export function claimInbound(tx: Db, { id, optedOut }: Pick<WaitingInbound, 'id' | 'optedOut'>) {
  return tx.maybeOne<Inbound>(
    'claim_inbound',
    /* sql */ `
    select id, phone, short_code as "shortCode", content, lists_left as "listsLeft"
      from inbound_messages
     where id = $1 and interpreted_at is null and (opted_out_at is not null) = $2
       for update skip locked`,
    [id, optedOut],
  )
}

/** Locks those of these MOs that still wait to be read, and that no other gateway has. */
export function claimUnhandled(tx: Db, ids: number[]) {
  return tx.many<Inbound>(
    'claim_unread',
    /* sql */ `
    select id, phone, short_code as "shortCode", content, lists_left as "listsLeft"
      from inbound_messages
     where id = any($1::bigint[]) and interpreted_at is null and opted_out_at is null
     order by id
       for update skip locked`,
    [ids],
  )
}

/** These opt-outs are committed, each from so many lists; their confirmations follow when they are in force. */
export async function markOptedOut(tx: Db, optOuts: Array<{ id: number; listsLeft: number }>, at: Date) {
  await tx.exec(
    'mark_opted_out',
    /* sql */ `
    update inbound_messages i set meaning = 'opt_out', lists_left = o.lists_left, opted_out_at = $3
      from unnest($1::bigint[], $2::int[]) as o(id, lists_left)
     where i.id = o.id and i.id = any($1::bigint[])`,
    [optOuts.map((each) => each.id), optOuts.map((each) => each.listsLeft), at],
  )
}

/** The MO is dealt with. */
export async function markInterpreted(tx: Db, id: number, meaning: string, answerMessageId: number | null, at: Date) {
  await tx.exec(
    'mark_interpreted',
    /* sql */ `
    update inbound_messages set meaning = $2, answer_message_id = $3, interpreted_at = $4 where id = $1`,
    [id, meaning, answerMessageId, at],
  )
}

/** These MOs ask for nothing that we answer. */
export async function markIgnored(tx: Db, ids: number[], at: Date) {
  if (ids.length === 0) return
  await tx.exec(
    'mark_others',
    /* sql */ `update inbound_messages set meaning = 'other', interpreted_at = $2 where id = any($1::bigint[])`,
    [ids, at],
  )
}

/** Whether an opt-out of this handset from this short code was confirmed since then. */
export async function wasConfirmedSince(tx: Db, phone: number, shortCode: string, since: Date): Promise<boolean> {
  const row = await tx.maybeOne(
    'was_confirmed_since',
    /* sql */ `
    select 1 from inbound_messages
     where phone = $1 and short_code = $2 and meaning = 'opt_out' and answer_message_id is not null
       and received_at > $3 limit 1`,
    [phone, shortCode, since],
  )
  return row !== undefined
}

/**
 * The short code an MO came to, with all its lists: an opt-out is also for those that are deleted, or have moved to
 * another short code since.
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

export type ReplyTexts = { listId: number; messageStop: string | null; messageHelp: string | null }

/** The texts of the list that texted the number last, of those; undefined when none ever did. */
export function findLastListTexts(tx: Db, phone: number, listIds: number[]) {
  return tx.maybeOne<ReplyTexts>(
    'find_last_list_texts',
    /* sql */ `
    with last as (
      select m.list_id
        from message_log l join messages m on m.id = l.message_id
       where l.phone = $1 and m.list_id = any($2::bigint[]) and l.state in ('submitting', 'sent', 'unknown', 'delivered')
       order by l.id desc limit 1
    )
    select l.id as "listId", l.message_stop as "messageStop", l.message_help as "messageHelp"
      from lists l join last on last.list_id = l.id`,
    [phone, listIds],
  )
}
