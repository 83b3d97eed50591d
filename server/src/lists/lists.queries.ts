import type { Db } from '../db/db.ts'
import { assignmentsOf, columnsOf, param, type Row, sql, valuesOf } from '../db/sql.ts'
import type { PageBounds } from '../lib/paging.ts'
import { formatTimeOfDay } from '../quiet-hours/local-time.ts'
import type { Hours } from '../quiet-hours/windows.ts'
import { type OptInRequestRow, optInRequestsOfList } from './opt-in-settings.queries.ts'

/** The settings of a list that its owner can change. */
export type ListSettings = {
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
  /** Hours for which an unanswered opt-in request prevents a second one. */
  resendBlockHours: number
  /** Hours for which only the person can resubscribe a number that opted out. */
  resubscribeTimeoutHours: number
  /** Minutes that a scheduled message may be late and is still sent. */
  scheduledLatenessMinutes: number
  /** Whether quiet hours apply to the list's broadcasts even if the account does not apply them. */
  quietHours: boolean
  /** Imports skip rows with a value that cannot be read, instead of only the value. */
  rejectsUnreadable: boolean
  /** Whether imports report events. */
  importEvents: boolean
  /** The hours of the day, at the phone's location, in which broadcasts may be sent; null means all. */
  sendHours: Hours | null
  /** Whether `unknown` texts are closed at the receipt deadline, or requeued once. */
  whenUnknown: 'never_twice' | 'never_miss'
}

export type List = ListSettings & {
  id: number
  accountId: number
  shortCodeId: number
  optInType: 'single' | 'double'
  /** Whether no welcome text is sent after a single opt-in. */
  bypassOptInResponse: boolean
}

export type ListView = List & {
  shortCode: string
  keywordNames: string[]
  /** The steps of double opt-in; empty for single. */
  optInRequests: OptInRequestRow[]
  counts: { subscribers: number; unsubscribed: number; cleaned: number }
}

const listColumns = /* sql */ `
  l.id, l.account_id as "accountId", l.short_code_id as "shortCodeId", l.name, l.message_yes as "messageYes",
  l.message_help as "messageHelp", l.message_stop as "messageStop", l.message_reply as "messageReply",
  l.message_already_subscribed as "messageAlreadySubscribed", l.first_optin_message as "firstOptinMessage",
  l.second_optin_message as "secondOptinMessage", l.email_digest as "emailDigest",
  l.email_subscribe as "emailSubscribe", l.email_unsubscribe as "emailUnsubscribe", l.resend_block_hours as "resendBlockHours",
  l.resubscribe_timeout_hours as "resubscribeTimeoutHours",
  l.scheduled_lateness_minutes as "scheduledLatenessMinutes", l.quiet_hours as "quietHours",
  l.reject_unreadable_values as "rejectsUnreadable", l.import_events as "importEvents",
  case when l.send_from is not null
       then json_build_object('from', (extract(epoch from l.send_from::interval) / 60)::int,
                              'to', (extract(epoch from l.send_to::interval) / 60)::int) end as "sendHours", l.when_unknown as "whenUnknown", l.opt_in_type as "optInType",
  l.bypass_opt_in_response as "bypassOptInResponse"`

// One statement reads base and deltas, because the folding job moves deltas into the base.
const viewColumns = /* sql */ `${listColumns},
  (select c.code from short_codes c where c.id = l.short_code_id) as "shortCode",
  case l.opt_in_type when 'double' then ${optInRequestsOfList} else '[]' end as "optInRequests",
  array(select k.name from keywords k where k.list_id = l.id and k.released_at is null order by k.name)
    as "keywordNames",
  (select json_build_object('subscribers', l.subscribed_count + coalesce(sum(d.subscribed), 0),
                            'unsubscribed', l.unsubscribed_count + coalesce(sum(d.unsubscribed), 0),
                            'cleaned', l.cleaned_count + coalesce(sum(d.cleaned), 0))
     from list_deltas d where d.list_id = l.id) as counts`

/** Returns the account's list, unless it was deleted. */
export function findList(db: Db, accountId: number, listId: number) {
  return db.maybeOne<List>(
    'find_list',
    /* sql */ `select ${listColumns} from lists l where l.id = $1 and l.account_id = $2 and l.deleted_at is null`,
    [listId, accountId],
  )
}

export type ListKey = { accountId: number; listId: number }

/** As `findList` for several keys; `index` is the place of the key, from 1. */
export function findLists(db: Db, keys: ListKey[]) {
  return db.many<{ index: number } & List>(
    'find_lists',
    /* sql */ `
    select k.index::int as index, ${listColumns}
      from unnest($1::bigint[], $2::bigint[]) with ordinality k (account_id, list_id, index)
      join lists l on l.id = k.list_id and l.account_id = k.account_id and l.deleted_at is null`,
    [keys.map(({ accountId }) => accountId), keys.map(({ listId }) => listId)],
  )
}

/** As `findList`, but also returns a deleted list. */
export function findListOrDeleted(db: Db, accountId: number, listId: number) {
  return db.maybeOne<List>(
    'find_list_or_deleted',
    /* sql */ `select ${listColumns} from lists l where l.id = $1 and l.account_id = $2`,
    [listId, accountId],
  )
}

/** As `findList`, and locks the list: no other transaction changes or deletes it before this one ends. */
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

/** Locks a list against changes and deletion, not against other such locks; returns false for a deleted list. */
export async function shareList(tx: Db, listId: number): Promise<boolean> {
  const rows = await tx.exec(
    'share_list',
    /* sql */ `select from lists where id = $1 and deleted_at is null for share`,
    [listId],
  )
  return rows === 1
}

/** Returns the account's list with its keywords and counts. */
export function findListView(db: Db, accountId: number, listId: number) {
  return db.maybeOne<ListView>(
    'find_list_view',
    /* sql */ `select ${viewColumns} from lists l where l.id = $1 and l.account_id = $2 and l.deleted_at is null`,
    [listId, accountId],
  )
}

/** Returns a page of the account's lists, oldest first. */
export function listListViews(db: Db, accountId: number, page: PageBounds) {
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

export async function insertList(db: Db, accountId: number, shortCodeId: number, settings: ListSettings, now: Date) {
  const at = param(now)
  const row = {
    ...settingColumns(settings),
    account_id: accountId,
    short_code_id: shortCodeId,
    created_at: at,
    updated_at: at,
  }
  const { id } = await db.one<{ id: number }>(
    'insert_list',
    sql`insert into lists (${columnsOf(row)}) values (${valuesOf(row)}) returning id`,
  )
  return id
}

export function updateList(db: Db, listId: number, settings: ListSettings, now: Date) {
  const row = { ...settingColumns(settings), updated_at: now }
  return db.exec('update_list', sql`update lists set ${assignmentsOf(row)} where id = ${listId}`)
}

/** Makes the list send from another short code. A STOP to the former one still applies to the list. */
export function moveToShortCode(db: Db, listId: number, shortCodeId: number) {
  return db.exec(
    'move_to_short_code',
    /* sql */ `
    with former as (
      insert into former_short_codes (short_code_id, list_id) select short_code_id, id from lists where id = $1
          on conflict do nothing
    )
    update lists set short_code_id = $2 where id = $1`,
    [listId, shortCodeId],
  )
}

export function markListDeleted(db: Db, listId: number, now: Date) {
  return db.exec('mark_list_deleted', /* sql */ `update lists set deleted_at = $2 where id = $1`, [listId, now])
}

function settingColumns(settings: ListSettings): Row {
  const json = (value: string | boolean | null) => (value === null ? null : JSON.stringify(value))
  return {
    name: settings.name,
    message_yes: settings.messageYes,
    message_help: settings.messageHelp,
    message_stop: settings.messageStop,
    message_reply: settings.messageReply,
    message_already_subscribed: settings.messageAlreadySubscribed,
    first_optin_message: settings.firstOptinMessage,
    second_optin_message: settings.secondOptinMessage,
    email_digest: settings.emailDigest,
    email_subscribe: json(settings.emailSubscribe),
    email_unsubscribe: json(settings.emailUnsubscribe),
    resend_block_hours: settings.resendBlockHours,
    resubscribe_timeout_hours: settings.resubscribeTimeoutHours,
    scheduled_lateness_minutes: settings.scheduledLatenessMinutes,
    when_unknown: settings.whenUnknown,
    quiet_hours: settings.quietHours,
    reject_unreadable_values: settings.rejectsUnreadable,
    import_events: settings.importEvents,
    send_from: settings.sendHours && formatTimeOfDay(settings.sendHours.from),
    send_to: settings.sendHours && formatTimeOfDay(settings.sendHours.to),
  }
}
