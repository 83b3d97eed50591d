import type { Db } from '../db/db.ts'

export type ApiKeyRow = {
  id: number
  prefix: string
  hash: Buffer
  scope: 'full' | 'read' | 'send'
  sandbox: boolean
  seeded: boolean
  rateLimit: string | null
  /** The operator's limit, and the key whose calls it counts: this key, or the one that created it. */
  operatorRateLimit: string | null
  limitedKeyId: number
  disabledAt: Date | null
  accountId: number
  accountRateLimit: string | null
  email: string
  username: string
  timeZone: string
  isOperator: boolean
}

/** Returns the keys with these prefixes and their accounts, without revoked keys. All keys of a disabled account are disabled. */
export function findApiKeysByPrefix(db: Db, prefixes: string[]) {
  return db.many<ApiKeyRow>(
    'find_api_keys_by_prefix',
    /* sql */ `
    select k.id, k.prefix, k.hash, k.scope, k.sandbox, k.seeded, k.rate_limit as "rateLimit",
           coalesce(l.operator_rate_limit, k.operator_rate_limit) as "operatorRateLimit",
           case when l.operator_rate_limit is null then k.id else l.id end as "limitedKeyId",
           coalesce(k.disabled_at, a.disabled_at) as "disabledAt", a.id as "accountId", a.rate_limit as "accountRateLimit", a.email, a.username,
           a.time_zone as "timeZone", a.is_operator as "isOperator"
      from api_keys k
      join accounts a on a.id = k.account_id
      left join api_keys l on l.id = k.limited_by
     where k.prefix = any($1::text[]) and k.revoked_at is null`,
    [prefixes],
  )
}

export type Account = {
  id: number
  email: string
  username: string
  timeZone: string
  /** May change the settings that all accounts share. */
  isOperator: boolean
  /** Limit of the calls of all its keys; null means the limit of the installation. */
  rateLimit: string | null
  disabledAt: Date | null
  createdAt: Date
}

const accountColumns = /* sql */ `id, email, username, time_zone as "timeZone", is_operator as "isOperator",
  rate_limit as "rateLimit", disabled_at as "disabledAt", created_at as "createdAt"`

/** Inserts an account (the first one is an operator); violates `accounts_email_key` if another account has the email. */
export function insertAccount(
  db: Db,
  given: { email: string; username: string; timeZone: string; quietHours: boolean },
  now: Date,
) {
  return db.one<Account>(
    'insert_account',
    /* sql */ `
    insert into accounts (email, username, time_zone, quiet_hours, is_operator, created_at)
    select $1, $2, $3, $4, not exists (select from accounts), $5 returning ${accountColumns}`,
    [given.email, given.username, given.timeZone, given.quietHours, now],
  )
}

export function findAccount(db: Db, id: number) {
  return db.maybeOne<Account>('find_account', /* sql */ `select ${accountColumns} from accounts where id = $1`, [id])
}

export function findAccountByEmail(db: Db, email: string) {
  return db.maybeOne<Account>(
    'find_account_by_email',
    /* sql */ `select ${accountColumns} from accounts where lower(email) = lower($1)`,
    [email],
  )
}

export function listAccounts(db: Db) {
  return db.many<Account>('list_accounts', /* sql */ `select ${accountColumns} from accounts order by id`)
}

/** Sets the limit of an account's calls (null: the installation's); returns undefined if the account does not exist. */
export function updateAccountLimit(db: Db, id: number, rateLimit: string | null) {
  return db.maybeOne<Account>(
    'update_account_limit',
    /* sql */ `update accounts set rate_limit = $2 where id = $1 returning ${accountColumns}`,
    [id, rateLimit],
  )
}

/** Sets whether the account is an operator; returns undefined if the account does not exist. */
export function updateOperator(db: Db, id: number, isOperator: boolean) {
  return db.maybeOne<Account>(
    'update_operator',
    /* sql */ `update accounts set is_operator = $2 where id = $1 returning ${accountColumns}`,
    [id, isOperator],
  )
}

/** Sets when the account was disabled, or null; a time that is already set does not change. */
export function updateDisabled(db: Db, id: number, disabledAt: Date | null) {
  return db.one<Account>(
    'update_disabled',
    /* sql */ `
    update accounts set disabled_at = case when $2::timestamptz is null then null else coalesce(disabled_at, $2) end
     where id = $1 returning ${accountColumns}`,
    [id, disabledAt],
  )
}

export type Role = 'owner' | 'editor' | 'viewer'

export type User = { id: number; accountId: number; email: string; role: Role; createdAt: Date }

const userColumns = /* sql */ `id, account_id as "accountId", email, role, created_at as "createdAt"`

/** Inserts a user; violates `users_email_key` if another user has the email. */
export function insertUser(
  db: Db,
  given: { accountId: number; email: string; role: Role; passwordHash: string },
  now: Date,
) {
  return db.one<User>(
    'insert_user',
    /* sql */ `
    insert into users (account_id, email, role, password_hash, created_at) values ($1, $2, $3, $4, $5) returning ${userColumns}`,
    [given.accountId, given.email, given.role, given.passwordHash, now],
  )
}

export function findUserByEmail(db: Db, email: string) {
  return db.maybeOne<User>(
    'find_user_by_email',
    /* sql */ `select ${userColumns} from users where lower(email) = lower($1)`,
    [email],
  )
}

/** Sets a user's password; returns undefined if the user does not exist. */
export function updatePassword(db: Db, id: number, passwordHash: string) {
  return db.maybeOne<User>(
    'update_password',
    /* sql */ `update users set password_hash = $2 where id = $1 returning ${userColumns}`,
    [id, passwordHash],
  )
}

/** Locks the owners of an account in the order of their ids, and returns the ids. */
export async function lockOwners(tx: Db, accountId: number): Promise<number[]> {
  const rows = await tx.many<{ id: number }>(
    'lock_owners',
    /* sql */ `select id from users where account_id = $1 and role = 'owner' order by id for update`,
    [accountId],
  )
  return rows.map(({ id }) => id)
}

export function deleteUser(tx: Db, id: number) {
  return tx.maybeOne<User>('delete_user', /* sql */ `delete from users where id = $1 returning ${userColumns}`, [id])
}

/** Returns the users of an account, or of all accounts for null. */
export function listUsers(db: Db, accountId: number | null) {
  return db.many<User>(
    'list_users',
    /* sql */ `select ${userColumns} from users where $1::bigint is null or account_id = $1 order by id`,
    [accountId],
  )
}
