import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'
import { formatTimeOfDay } from '../quiet-hours/local-time.ts'
import type { Hours } from '../quiet-hours/windows.ts'
import { type OptInRequestRow, optInRequestsOfList } from './opt-in-settings.queries.ts'

/** What an owner may change about a list. */
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
  /** How long an unanswered confirmation text keeps a second one from going out. */
  resendBlockHours: number
  /** How long nobody but the person can put a number back that has opted out. */
  resubscribeTimeoutHours: number
  /** How long after its time a scheduled message may still go out. */
  scheduledLatenessMinutes: number
  /** Its broadcasts keep to quiet hours even if the account does not ask for it. */
  quietHours: boolean
  /** Its broadcasts go out only in these hours of the day where the handset is. */
  sendHours: Hours | null
  /** What becomes of texts of which nobody can tell whether they were sent: left alone, or sent once more. */
  whenUnknown: 'never_twice' | 'never_miss'
}

export type List = ListSettings & {
  id: number
  accountId: number
  shortCodeId: number
  optInType: 'single' | 'double'
  /** Whoever is subscribed at once gets no welcome. */
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
  case when l.send_from is not null
       then json_build_object('from', (extract(epoch from l.send_from::interval) / 60)::int,
                              'to', (extract(epoch from l.send_to::interval) / 60)::int) end as "sendHours", l.when_unknown as "whenUnknown", l.opt_in_type as "optInType",
  l.bypass_opt_in_response as "bypassOptInResponse"`

// Base and deltas are added in one statement, because the job that folds them moves the one into the other.
const viewColumns = /* sql */ `${listColumns},
  (select c.code from short_codes c where c.id = l.short_code_id) as "shortCode",
  case l.opt_in_type when 'double' then ${optInRequestsOfList} else '[]' end as "optInRequests",
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
  const { id } = await db.one<{ id: number }>(
    'insert_list',
    /* sql */ `
    insert into lists (name, message_yes, message_help, message_stop, message_reply, message_already_subscribed,
                       first_optin_message, second_optin_message, email_digest, email_subscribe, email_unsubscribe,
                       resend_block_hours, resubscribe_timeout_hours, scheduled_lateness_minutes, when_unknown,
                       quiet_hours, send_from, send_to, created_at, updated_at, account_id, short_code_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::time, $18::time, $19, $19, $20, $21)
    returning id`,
    [...settingValues(settings), now, accountId, shortCodeId],
  )
  return id
}

export function updateList(db: Db, listId: number, settings: ListSettings, now: Date) {
  return db.exec(
    'update_list',
    /* sql */ `
    update lists
       set name = $1, message_yes = $2, message_help = $3, message_stop = $4, message_reply = $5,
           message_already_subscribed = $6, first_optin_message = $7, second_optin_message = $8, email_digest = $9,
           email_subscribe = $10, email_unsubscribe = $11, resend_block_hours = $12, resubscribe_timeout_hours = $13,
           scheduled_lateness_minutes = $14, when_unknown = $15, quiet_hours = $16, send_from = $17::time, send_to = $18::time,
           updated_at = $19
     where id = $20`,
    [...settingValues(settings), now, listId],
  )
}

/** The list sends from another short code from now on. A STOP to the one it leaves still means it. */
export function moveToShortCode(db: Db, listId: number, shortCodeId: number) {
  return db.exec(
    'move_to_short_code',
    /* sql */ `
    with left_behind as (
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

function settingValues(settings: ListSettings): unknown[] {
  const json = (value: string | boolean | null) => (value === null ? null : JSON.stringify(value))
  return [
    settings.name,
    settings.messageYes,
    settings.messageHelp,
    settings.messageStop,
    settings.messageReply,
    settings.messageAlreadySubscribed,
    settings.firstOptinMessage,
    settings.secondOptinMessage,
    settings.emailDigest,
    json(settings.emailSubscribe),
    json(settings.emailUnsubscribe),
    settings.resendBlockHours,
    settings.resubscribeTimeoutHours,
    settings.scheduledLatenessMinutes,
    settings.whenUnknown,
    settings.quietHours,
    settings.sendHours && formatTimeOfDay(settings.sendHours.from),
    settings.sendHours && formatTimeOfDay(settings.sendHours.to),
  ]
}
