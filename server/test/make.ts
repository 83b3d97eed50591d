import { createHash, randomBytes } from 'node:crypto'
import type { Db } from '../src/db/db.ts'

// Factories: rows with defaults, so that a test names only the columns that it tests.

let counter = 0
const next = () => ++counter

type AccountGiven = { email?: string; username?: string; timeZone?: string; isOperator?: boolean }

async function account(db: Db, given: AccountGiven = {}) {
  const n = next()
  return db.one<{ id: number; email: string }>(
    'make_account',
    `insert into accounts (email, username, time_zone, is_operator, created_at)
     values ($1, $2, $3, $4, now()) returning id, email`,
    [
      given.email ?? `owner${n}-${process.pid}@cedar.example`,
      given.username ?? `owner${n}`,
      given.timeZone ?? 'America/Los_Angeles',
      given.isOperator ?? false,
    ],
  )
}

/** Adds this number of accounts and returns the id of the last one. */
async function accounts(db: Db, count: number): Promise<number> {
  const rows = await db.many<{ id: number }>(
    'make_accounts',
    `insert into accounts (email, username, created_at)
     select 'many' || n || '@cedar.example', 'many' || n, now() from generate_series(1, $1) n returning id`,
    [count],
  )
  return Math.max(...rows.map(({ id }) => id))
}

async function apiKey(db: Db, given: { accountId: number; scope?: string; sandbox?: boolean; disabled?: boolean }) {
  const key = `carillon_key_${randomBytes(32).toString('base64url')}`
  const row = await db.one<{ id: number }>(
    'make_api_key',
    `insert into api_keys (account_id, name, prefix, hash, scope, sandbox, disabled_at, created_at)
     values ($1, 'test', $2, $3, $4, $5, case when $6::boolean then now() end, now()) returning id`,
    [
      given.accountId,
      key.slice(0, 20),
      createHash('sha256').update(key).digest(),
      given.scope ?? 'full',
      given.sandbox ?? true,
      given.disabled ?? false,
    ],
  )
  return { id: row.id, key }
}

async function shortCode(db: Db, given: { accountId: number; code?: string }) {
  return db.one<{ id: number; code: string }>(
    'make_short_code',
    'insert into short_codes (account_id, code, created_at) values ($1, $2, now()) returning id, code',
    [given.accountId, given.code ?? String(20_000 + ((process.pid * 37 + next()) % 79_999))],
  )
}

type ListGiven = {
  accountId?: number
  shortCodeId?: number
  name?: string
  messageStop?: string
  messageHelp?: string
  messageYes?: string
}

async function list(db: Db, given: ListGiven = {}) {
  const accountId = given.accountId ?? (await account(db)).id
  const shortCodeId = given.shortCodeId ?? (await shortCode(db, { accountId })).id
  const row = await db.one<{ id: number }>(
    'make_list',
    `insert into lists (account_id, short_code_id, name, message_stop, message_help, message_yes, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6, now(), now()) returning id`,
    [
      accountId,
      shortCodeId,
      given.name ?? `List ${next()}`,
      given.messageStop ?? null,
      given.messageHelp ?? null,
      given.messageYes ?? null,
    ],
  )
  return { id: row.id, accountId, shortCodeId }
}

type SubscriberGiven = {
  listId: number
  phone?: number
  state?: 'pending' | 'subscribed' | 'unsubscribed' | 'cleaned'
  firstName?: string
  at?: Date
}

async function subscriber(db: Db, given: SubscriberGiven) {
  const state = given.state ?? 'subscribed'
  const at = given.at ?? new Date(Date.now() - 86_400_000)
  const phone = given.phone ?? 2_065_560_000 + (next() % 9_999)
  await db.exec(
    'make_subscriber',
    `with added as (
       insert into subscribers (list_id, phone, state, created_at, first_name, opt_in_method, subscribed_at, opted_in_at,
                                opt_in_requested_at, opted_out_at, cleaned_at)
       values ($1, $2, $3, now(), $4, 'api',
               case when $3 <> 'pending' then $5::timestamptz end,
               case when $3 <> 'pending' then $5::timestamptz end,
               case when $3 = 'pending' then $5::timestamptz end,
               case when $3 = 'unsubscribed' then $5::timestamptz + interval '1 hour' end,
               case when $3 = 'cleaned' then $5::timestamptz + interval '1 hour' end))
     insert into list_deltas (list_id, prefix, subscribed, unsubscribed, cleaned)
     values ($1, $2::bigint / 100000, ($3 = 'subscribed')::int, ($3 = 'unsubscribed')::int, ($3 = 'cleaned')::int)`,
    [given.listId, phone, state, given.firstName ?? '', at],
  )
  return { phone, listId: given.listId }
}

/** Subscribes `count` numbers, which follow `after`, to a list since a day ago. */
async function subscribers(db: Db, given: { listId: number; count: number; after?: number }) {
  await db.exec(
    'make_subscribers',
    `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
     select $1, $2::bigint + n, now(), 'subscribed', now() - interval '1 day', now() - interval '1 day'
       from generate_series(1, $3::int) n`,
    [given.listId, given.after ?? 2_065_560_000, given.count],
  )
}

async function webhook(db: Db, given: { listId: number; callbackUrl?: string }) {
  return db.one<{ id: number }>(
    'make_webhook',
    `with webhook as (
       insert into webhooks (list_id, callback_url, created_at, updated_at) values ($1, $2, now(), now()) returning id, list_id
     ), endpoint as (
       insert into endpoints (account_id, webhook_id)
       select l.account_id, w.id from webhook w join lists l on l.id = w.list_id)
     select id from webhook`,
    [given.listId, given.callbackUrl ?? 'https://hooks.cedar.example/'],
  )
}

/** Inserts a numbered event of a list and returns its position. */
async function numberedEvent(db: Db, given: { listId: number }) {
  return db.one<{ position: number }>(
    'make_numbered_event',
    `with s as (update event_sequence set last_position = last_position + 1 returning last_position)
     insert into events (position, account_id, list_id, type, phone, occurred_at, payload)
     select s.last_position, l.account_id, l.id, 'subscribe', 2065550143, now(), '{"type":"subscribe"}'
       from s, lists l where l.id = $1
     returning position`,
    [given.listId],
  )
}

async function deliveryAttempt(
  db: Db,
  given: { webhookId: number; outcome?: string; type?: string; phone?: number; position?: number; startedAt?: Date },
) {
  const { outcome = 'delivered', type = 'subscribe', phone = 2065550143, position = 1, startedAt = new Date() } = given
  return db.one<{ id: number }>(
    'make_delivery_attempt',
    `insert into delivery_attempts (account_id, endpoint_id, position, type, phone, is_test, attempt, outcome, started_at,
                                    duration_ms, url, request_headers, status, response_headers, response)
     select p.account_id, p.id, $2, $3, $4, false, 1, $5, $6, 12, 'https://hooks.cedar.example/', '{"webhook-id":"evt_1"}', 200,
            '{"server":"cedar"}', 'ok'
       from endpoints p where p.webhook_id = $1
     returning id`,
    [given.webhookId, position, type, phone, outcome, startedAt],
  )
}

async function replay(db: Db, given: { webhookId: number }) {
  return db.one<{ id: number }>(
    'make_replay',
    `insert into replays (account_id, endpoint_id, kind, from_position, to_position, after_position, created_at)
     select account_id, id, 'positions', 1, 10, 0, now() from endpoints where webhook_id = $1 returning id`,
    [given.webhookId],
  )
}

async function momtReport(db: Db, given: { accountId: number }) {
  return db.one<{ id: number }>(
    'make_momt_report',
    `insert into momt_reports (account_id, date_from, date_from_offset, date_to, date_to_offset, format, gzip, cursor_at,
                               settles_at, due_at, created_at, updated_at)
     values ($1, now() - interval '1 day', 'Z', now(), 'Z', 'json', false, now() - interval '1 day', now(), now(), now(), now())
     returning id`,
    [given.accountId],
  )
}

type ConnectionGiven = { name?: string; host?: string | null; port?: number; enabled?: boolean }

/** Creates a connection that has an address and serves all short codes; its password is empty. */
async function connection(db: Db, given: ConnectionGiven = {}) {
  return db.one<{ id: number; name: string }>(
    'make_connection',
    `insert into connections (name, host, port, enabled, system_id, serves_all, created_at, updated_at)
     values ($1, $2, $3, $4, 'carillon', true, now(), now())
     returning id, name`,
    [
      given.name ?? `Carrier ${next()}`,
      given.host === undefined ? '127.0.0.1' : given.host,
      given.port ?? 2_775,
      given.enabled ?? true,
    ],
  )
}

/** Creates a STOP that concerned no short code when it arrived. */
async function unmatchedStop(db: Db, given: { connectionId: number; phone?: number | null; shortCode?: string }) {
  const { connectionId, phone = 2_065_560_001, shortCode = '155123' } = given
  return db.one<{ id: number }>(
    'make_unmatched_stop',
    `insert into inbound_messages (connection_id, short_code, phone, source_addr, content, raw, data_coding, received_at,
                                   problem, kind, interpreted_at)
     values ($1, $2, $3, '+1 206 556 0001', 'STOP', 'STOP', 0, now(),
             case when $3::bigint is null then 'sender' else 'destination' end, 'opt_out', now()) returning id`,
    [connectionId, shortCode, phone],
  )
}

export const make = {
  account,
  accounts,
  apiKey,
  shortCode,
  list,
  subscriber,
  subscribers,
  webhook,
  numberedEvent,
  deliveryAttempt,
  replay,
  momtReport,
  connection,
  unmatchedStop,
}
