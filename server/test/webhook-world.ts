import { randomBytes } from 'node:crypto'
import { type Logger, pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { numberEvents } from '../src/events/sequence.ts'
import { loopbackRanges } from '../src/lib/address-ranges.ts'
import { makeGuardedFetch } from '../src/lib/guarded-fetch.ts'
import type { Resolve } from '../src/lib/name-resolver.ts'
import { Sealer } from '../src/lib/seal.ts'
import { insertDeliveries } from '../src/webhooks/delivery/deliveries.queries.ts'
import { type LeaseLimits, WebhookDispatcher } from '../src/webhooks/delivery/dispatcher.ts'
import {
  defaultEndpointSettings,
  type EndpointSettings,
  insertEndpoint,
} from '../src/webhooks/delivery/endpoints.queries.ts'
import { makeSealedSecret } from '../src/webhooks/delivery/secrets.ts'
import { insertWebhook, updateListeners } from '../src/webhooks/webhooks.queries.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { make } from './make.ts'
import { type Respond, startReceiver, type WebhookReceiver } from './webhook-receiver.ts'

export const start = new Date('2026-03-02T10:00:00Z')

/** Returns phones, the same in each call. */
export const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_550_100 + n)

export type LoggedAttempt = { attempt: number; outcome: string; status: number | null; error: string | null }

type ListOptions = Partial<EndpointSettings> & { owner?: { accountId: number; shortCodeId: number } }

/** Time limit of an attempt: the 10 s of production would end attempts on a busy machine. */
const patientMs = 60_000

type DispatcherOptions = {
  resolve?: Resolve
  extraCaFile?: string
  /** Time limit of an attempt; by default, it is much longer than that of production. */
  timeoutMs?: number
  log?: Logger
  limits?: LeaseLimits
}

/** A database of a test file with lists and webhooks, and dispatchers whose clock is moved by hand. */
export function useWebhooks() {
  const clock = { time: start, now: () => clock.time }
  const key = randomBytes(32)
  const sealer = new Sealer(key)
  const opened: { close(): void }[] = []
  const dispatchers: WebhookDispatcher[] = []
  let database: TestDatabase

  const newOwner = async () => {
    const { id: accountId } = await make.account(database.db)
    return { accountId, shortCodeId: (await make.shortCode(database.db, { accountId })).id }
  }
  let owner: Awaited<ReturnType<typeof newOwner>>

  beforeAll(async () => {
    database = await freshDatabase()
    owner = await newOwner()
  })
  afterAll(() => database.close())
  beforeEach(() => {
    clock.time = start
  })
  afterEach(async () => {
    for (const server of opened.splice(0)) server.close()
    for (const dispatcher of dispatchers.splice(0)) await dispatcher.stop()
    await database.db.exec(
      'forget',
      'truncate event_outbox, deliveries, delivery_attempts, webhooks, endpoints cascade',
    )
  })

  const world = {
    clock,
    sealer,
    /** The key of the sealer, as CARILLON_SECRET_KEY has it. */
    secretKey: key.toString('hex'),
    get db() {
      return database.db
    },
    get database() {
      return database
    },
    get accountId() {
      return owner.accountId
    },
    newOwner,

    /** Closes a server, or something else, after the test. */
    use<T extends { close(): void }>(server: T): T {
      opened.push(server)
      return server
    },

    async receiverOf(respond?: Respond): Promise<WebhookReceiver> {
      const receiver = await startReceiver(respond)
      opened.push(receiver)
      return receiver
    },

    /** Creates a list with a webhook for all types at this URL. */
    async listWith(callbackUrl: string, given: ListOptions = {}): Promise<{ id: number; webhookId: number }> {
      const { owner: listOwner = owner, ...settings } = given
      const list = await make.list(database.db, listOwner)
      const webhookId = await database.db.tx(async (tx) => {
        const events = { subscribe: true, unsubscribe: true, cleaned: true }
        const webhook = await insertWebhook(tx, list.id, { callbackUrl, events }, start)
        const { accountId } = listOwner
        const endpoint = { accountId, webhookId: webhook.id, secret: makeSealedSecret(sealer) }
        await insertEndpoint(tx, endpoint, { ...defaultEndpointSettings, ...settings })
        await updateListeners(tx, list.id)
        return webhook.id
      })
      return { id: list.id, webhookId }
    },

    /** Creates a list with this number of webhooks, also beyond the cap. */
    async listWithMany(webhooks: number, callbackUrl: string, given: ListOptions = {}) {
      const list: { id: number; webhookId: number } = await world.listWith(callbackUrl, given)
      await database.db.exec(
        'copy_webhook',
        `with copy as (
           insert into webhooks (list_id, callback_url, subscribe, created_at, updated_at)
           select list_id, callback_url, subscribe, created_at, updated_at
             from webhooks, generate_series(2, $2) where id = $1 returning id)
         insert into endpoints (account_id, webhook_id, secret)
         select account_id, copy.id, secret from endpoints, copy where webhook_id = $1`,
        [list.webhookId, webhooks],
      )
      return list
    },

    /** Inserts opt-ins of these phones and numbers their events. */
    async optIn(list: { id: number }, numbers: number[]) {
      await database.db.exec(
        'opt_in',
        `with s as (insert into subscribers (list_id, phone, state, created_at)
                    select $1, phone, 'subscribed', $3 from unnest($2::bigint[]) phone on conflict do nothing)
         insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
         select (select account_id from lists where id = $1), $1, phone, 'opt_in', 'api', 'test', $3
           from unnest($2::bigint[]) phone`,
        [list.id, numbers, clock.time],
      )
      await world.number()
    },

    /** Numbers all events of the outbox and queues their deliveries. */
    async number() {
      while ((await numberEvents(database.db, (tx, events) => insertDeliveries(tx, events, clock.time))).isFull) {}
    },

    newDispatcher(options: DispatcherOptions = {}): WebhookDispatcher {
      const { timeoutMs = patientMs, log = pino({ level: 'silent' }), limits, ...fetching } = options
      const fetch = makeGuardedFetch({ allowed: loopbackRanges, ...fetching })
      const dispatcher = new WebhookDispatcher(
        { db: database.db, clock, log },
        { fetch, clock, userAgent: 'Carillon/test', sealer, timeoutMs },
        limits,
      )
      dispatchers.push(dispatcher)
      return dispatcher
    },

    /** Returns the attempts of a webhook, or of all. */
    attemptsOf(webhookId: number | null = null) {
      return database.db.many<LoggedAttempt>(
        'read_attempts',
        `select attempt, outcome, status, error from delivery_attempts
          where $1::bigint is null or endpoint_id = (select id from endpoints where webhook_id = $1)
          order by id`,
        [webhookId],
      )
    },

    /** Returns the number of deliveries that were neither made nor given up. */
    async pending() {
      return (await database.db.one<{ n: number }>('count_deliveries', 'select count(*) as n from deliveries')).n
    },
  }
  return world
}
