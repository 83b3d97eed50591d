import type { Db } from '../db/db.ts'

/** What an owner may change about a list. */
export type ListTexts = {
  name: string
  messageYes: string | null
  messageHelp: string | null
  messageStop: string | null
  messageReply: string | null
  messageAlreadySubscribed: string | null
  firstOptinMessage: string
  secondOptinMessage: string
  emailDigest: string | null
  emailSubscribe: string | boolean | null
  emailUnsubscribe: string | boolean | null
}

export type List = ListTexts & {
  id: number
  accountId: number
  shortCodeId: number
  optInType: 'single' | 'double'
}

export type ListView = List & {
  keywordNames: string[]
  counts: { subscribers: number; unsubscribed: number; cleaned: number }
}

const listColumns = /* sql */ `
  l.id, l.account_id as "accountId", l.short_code_id as "shortCodeId", l.name, l.message_yes as "messageYes",
  l.message_help as "messageHelp", l.message_stop as "messageStop", l.message_reply as "messageReply",
  l.message_already_subscribed as "messageAlreadySubscribed", l.first_optin_message as "firstOptinMessage",
  l.second_optin_message as "secondOptinMessage", l.email_digest as "emailDigest",
  l.email_subscribe as "emailSubscribe", l.email_unsubscribe as "emailUnsubscribe", l.opt_in_type as "optInType"`

// Base and deltas are added in one statement, because the job that folds them moves the one into the other.
const viewColumns = /* sql */ `${listColumns},
  array(select k.name from keywords k where k.list_id = l.id and k.released_at is null order by k.name)
    as "keywordNames",
  (select json_build_object('subscribers', l.subscribed_count + coalesce(sum(d.subscribed), 0),
                            'unsubscribed', l.unsubscribed_count + coalesce(sum(d.unsubscribed), 0),
                            'cleaned', l.cleaned_count + coalesce(sum(d.cleaned), 0))
     from list_deltas d where d.list_id = l.id) as counts`

/** The account's list of this id, unless it was deleted. */
export function findList(db: Db, accountId: number, listId: number) {
  return db.maybeOne<List>(
    'find_list',
    /* sql */ `select ${listColumns} from lists l where l.id = $1 and l.account_id = $2 and l.deleted_at is null`,
    [listId, accountId],
  )
}

/** As `findList`, and nobody else changes or deletes it before this transaction ends. */
export function findListForUpdate(tx: Db, accountId: number, listId: number) {
  return tx.maybeOne<List>(
    'find_list_for_update',
    /* sql */ `
    select ${listColumns} from lists l
     where l.id = $1 and l.account_id = $2 and l.deleted_at is null
       for no key update`,
    [listId, accountId],
  )
}

/** A list with its keywords and counts. */
export function findListView(db: Db, accountId: number, listId: number) {
  return db.maybeOne<ListView>(
    'find_list_view',
    /* sql */ `select ${viewColumns} from lists l where l.id = $1 and l.account_id = $2 and l.deleted_at is null`,
    [listId, accountId],
  )
}

/** A page of the account's lists, oldest first. */
export function listListViews(db: Db, accountId: number, page: { offset: number; perPage: number }) {
  return db.many<ListView>(
    'list_list_views',
    /* sql */ `
    select ${viewColumns} from lists l
     where l.account_id = $1 and l.deleted_at is null
     order by l.id offset $2 limit $3`,
    [accountId, page.offset, page.perPage],
  )
}

export async function countLists(db: Db, accountId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_lists',
    /* sql */ `select count(*) as n from lists where account_id = $1 and deleted_at is null`,
    [accountId],
  )
  return n
}

export async function insertList(db: Db, accountId: number, shortCodeId: number, texts: ListTexts, now: Date) {
  const { id } = await db.one<{ id: number }>(
    'insert_list',
    /* sql */ `
    insert into lists (name, message_yes, message_help, message_stop, message_reply, message_already_subscribed,
                       first_optin_message, second_optin_message, email_digest, email_subscribe, email_unsubscribe,
                       created_at, updated_at, account_id, short_code_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14)
    returning id`,
    [...textValues(texts), now, accountId, shortCodeId],
  )
  return id
}

export function updateList(db: Db, listId: number, texts: ListTexts, now: Date) {
  return db.exec(
    'update_list',
    /* sql */ `
    update lists
       set name = $1, message_yes = $2, message_help = $3, message_stop = $4, message_reply = $5,
           message_already_subscribed = $6, first_optin_message = $7, second_optin_message = $8, email_digest = $9,
           email_subscribe = $10, email_unsubscribe = $11, updated_at = $12
     where id = $13`,
    [...textValues(texts), now, listId],
  )
}

export function markListDeleted(db: Db, listId: number, now: Date) {
  return db.exec('mark_list_deleted', /* sql */ `update lists set deleted_at = $2 where id = $1`, [listId, now])
}

function textValues(texts: ListTexts): unknown[] {
  const json = (value: string | boolean | null) => (value === null ? null : JSON.stringify(value))
  return [
    texts.name,
    texts.messageYes,
    texts.messageHelp,
    texts.messageStop,
    texts.messageReply,
    texts.messageAlreadySubscribed,
    texts.firstOptinMessage,
    texts.secondOptinMessage,
    texts.emailDigest,
    json(texts.emailSubscribe),
    json(texts.emailUnsubscribe),
  ]
}
