import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'

// The sandbox's first rows. They belong to nouns whose folders this one must not import, so the seed has its own statements.

/** Locks the seed until the end of the transaction, so that two supervisors do not seed concurrently. */
export function lockSandbox(db: Db) {
  return db.exec('lock_sandbox', /* sql */ `select pg_advisory_xact_lock(hashtext('seed_sandbox'))`)
}

export function findAccountOfKey(db: Db, hash: Buffer) {
  return db.maybeOne<{ id: number; email: string }>(
    'find_account_of_key',
    /* sql */ `select a.id, a.email from api_keys k join accounts a on a.id = k.account_id where k.hash = $1`,
    [hash],
  )
}

/** Returns the account with this login email; inserts it if it does not exist. */
export function insertAccount(db: Db, email: string, now: Date) {
  return db.one<{ id: number; email: string }>(
    'insert_sandbox_account',
    /* sql */ `
    with added as (
      insert into accounts (email, username, is_operator, created_at)
      select $1, split_part($1, '@', 1), not exists (select from accounts), $2
          on conflict (lower(email)) do nothing
      returning id, email)
    select id, email from added
     union all
    select id, email from accounts where lower(email) = lower($1)`,
    [email, now],
  )
}

export function updateEmail(db: Db, accountId: number, email: string) {
  return db.exec(
    'update_sandbox_email',
    /* sql */ `update accounts set email = $2, username = split_part($2, '@', 1) where id = $1`,
    [accountId, email],
  )
}

export function findSandboxKey(db: Db, accountId: number) {
  return db.maybeOne<{ id: number }>(
    'find_sandbox_key',
    /* sql */ `select id from api_keys
                where account_id = $1 and seeded and disabled_at is null and revoked_at is null limit 1`,
    [accountId],
  )
}

/** Inserts the key if it does not exist. */
export function insertSandboxKey(db: Db, accountId: number, trace: { prefix: string; hash: Buffer }, now: Date) {
  return db.exec(
    'insert_sandbox_key',
    /* sql */ `
    insert into api_keys (account_id, name, prefix, hash, sandbox, seeded, created_at)
    select $1, 'Sandbox', $2, $3, true, true, $4
     where not exists (select from api_keys where hash = $3)`,
    [accountId, trace.prefix, trace.hash, now],
  )
}

/** Returns the account's first short code; inserts `code` if the account has none. */
export function insertShortCode(db: Db, accountId: number, code: string, now: Date) {
  return db.one<{ id: number; code: string }>(
    'insert_sandbox_short_code',
    /* sql */ `
    with known as (
      select id, code from short_codes where account_id = $1 order by id limit 1),
    added as (
      insert into short_codes (account_id, code, created_at)
      select $1, $2, $3 where not exists (select from known)
      returning id, code)
    select id, code from known
     union all
    select id, code from added`,
    [accountId, code, now],
  )
}

type Texts = {
  messageYes: string
  messageHelp: string
  messageStop: string
  messageReply: string
  messageAlreadySubscribed: string
  firstOptinMessage: string
  secondOptinMessage: string
}

/** Returns the account's oldest list; inserts one with these texts if the account has none. */
export function insertList(
  db: Db,
  given: { accountId: number; shortCodeId: number; name: string; texts: Texts },
  now: Date,
) {
  const { shortCodeId, name, texts } = given
  const [account, at] = [param(given.accountId), param(now)]
  return db.one<{ id: number; isNew: boolean }>(
    'insert_sandbox_list',
    sql`
    with known as (
      select id from lists where account_id = ${account} and deleted_at is null order by id limit 1),
    added as (
      insert into lists (account_id, short_code_id, name, message_yes, message_help, message_stop, message_reply,
                         message_already_subscribed, first_optin_message, second_optin_message,
                         created_at, updated_at)
      select ${account}, ${shortCodeId}, ${name}, ${texts.messageYes}, ${texts.messageHelp}, ${texts.messageStop},
             ${texts.messageReply}, ${texts.messageAlreadySubscribed}, ${texts.firstOptinMessage},
             ${texts.secondOptinMessage}, ${at}, ${at}
       where not exists (select from known)
      returning id)
    select id, false as "isNew" from known
     union all
    select id, true as "isNew" from added`,
  )
}

/** Subscribes these numbers to the list, with their consent in the ledger. */
export function insertSubscribers(db: Db, accountId: number, listId: number, phones: number[], now: Date) {
  return db.exec(
    'insert_sandbox_subscribers',
    /* sql */ `
    with added as (
      insert into subscribers (list_id, phone, state, opt_in_method, api_source, subscribed_at, opted_in_at, created_at)
      select $2, phone, 'subscribed', 'api', 'sandbox', $4, $4, $4 from unnest($3::bigint[]) phone
      returning phone),
    recorded as (
      insert into opts (account_id, list_id, phone, kind, method, source, actor, created_at)
      select $1, $2, phone, 'opt_in', 'api', 'sandbox', 'sandbox', $4 from added)
    insert into list_deltas (list_id, prefix, subscribed)
    select $2, phone / 100000, count(*) from added group by phone / 100000`,
    [accountId, listId, phones, now],
  )
}
