import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { leaseMs as idempotencyLeaseMs } from '../../../src/http/idempotency.queries.ts'
import { formatPhoneNumber } from '../../../src/sms/phone-number.ts'
import { makeScratch } from '../../carillon-process.ts'
import { makeAuthority } from '../../certificates.ts'
import { waitFor } from '../../wait-for.ts'
import type { ApiResponse } from '../api-calls.ts'
import { Installation } from '../installation.ts'
import { optOutByStop } from '../opt-outs.ts'
import { EventReceiver } from './event-receiver.ts'

export type FeedEvent = { position: number; event: Record<string, unknown> & { type: string } }

/** A time during which processes were killed, until others could continue their work. */
export type Kill = { from: number; to: number }

const firstPhone = 2_127_100_000

/**
 * An installation with one list, two webhooks for all types of events, a receiver of callbacks, and a reader of the feed that
 * never stops reading. The clients retry what failed, as those of an integrator do.
 */
export class EventWorld {
  readonly installation: Installation
  readonly receivers: EventReceiver[]
  readonly callbacks: EventReceiver
  readonly kills: Kill[] = []
  /** What the reader of the feed has read, in its order. */
  readonly read: FeedEvent[] = []
  /** The types of the events that are expected of each phone, in their order. */
  readonly expected = new Map<number, string[]>()
  readonly broadcasts: number[] = []
  readonly transactional: number[] = []
  listId = 0
  #phones = 0
  readonly #stopping = new AbortController()
  #reading: Promise<void> | undefined
  readonly #scratch: { remove(): void }

  private constructor(
    installation: Installation,
    receivers: EventReceiver[],
    callbacks: EventReceiver,
    scratch: { remove(): void },
  ) {
    this.installation = installation
    this.receivers = receivers
    this.callbacks = callbacks
    this.#scratch = scratch
  }

  /** Opens everything; receivers respond 500 if `isFailure` returns true. */
  static async open(isFailure = () => false): Promise<EventWorld> {
    const scratch = makeScratch(0o755)
    const authority = makeAuthority()
    const caFile = join(scratch.path, 'authority.pem')
    writeFileSync(caFile, authority.cert)
    const [plain, secure, callbacks] = await Promise.all([
      EventReceiver.start('the HTTP receiver', { isFailure }),
      EventReceiver.start('the HTTPS receiver', { isFailure, tls: authority.issue('127.0.0.1') }),
      EventReceiver.start('the receiver of callbacks', { isFailure }),
    ])
    const env = { CARILLON_EXTRA_CA_FILE: caFile, CARILLON_RATE_LIMIT: 'off' }
    const options = { binds: 1, window: 20, latencyMs: 20, leaseMs: 2_000, env }
    const world = new EventWorld(await Installation.open(options), [plain, secure], callbacks, scratch)
    await world.#prepare()
    return world
  }

  async #prepare(): Promise<void> {
    const created = await this.#call('POST', '/lists', { list: { name: 'Members' } })
    this.listId = (created.body.list as { id: number }).id
    await this.#call('PUT', '/event_feed', { event_feed: { enabled: true } })
    const flags = { subscribe: true, unsubscribe: true, message_sent: true, cleaned: true, reply_received: true }
    for (const receiver of this.receivers) {
      const webhooks = `/lists/${this.listId}/webhooks`
      const { body } = await this.#call('POST', webhooks, { webhook: { callback_url: receiver.url, ...flags } })
      const { id } = body.webhook as { id: number }
      const { webhook_secret } = (await this.#call('GET', `${webhooks}/${id}/secret`)).body
      receiver.verifyWith((webhook_secret as { secret: string }).secret)
    }
    const { callback_secret } = (await this.#call('PUT', '/callback_secret', { callback_secret: {} })).body
    this.callbacks.verifyWith((callback_secret as { secret: string }).secret)
    this.#reading = this.#readFeed()
  }

  /** Returns phones that no call has returned before. */
  newPhones(count: number): number[] {
    this.#phones += count
    return Array.from({ length: count }, (_, n) => firstPhone + this.#phones - n)
  }

  async subscribe(phone: number): Promise<void> {
    this.#expect(phone, 'subscribe')
    const flags = { bypass_opt_in_process: true, bypass_opt_in_response: true }
    const subscriber = { phone_number: formatPhoneNumber(phone), ...flags }
    await this.#call('POST', `/lists/${this.listId}/subscribers`, { subscriber })
  }

  async unsubscribe(phone: number): Promise<void> {
    this.#expect(phone, 'unsubscribe')
    await this.#call('DELETE', `/lists/${this.listId}/subscribers/${formatPhoneNumber(phone)}`)
  }

  /** Sends STOP from the phone's handset; only one at a time. */
  async stopByText(phone: number): Promise<void> {
    this.#expect(phone, 'unsubscribe')
    await optOutByStop(this.installation, phone, { timeoutMs: 40_000 })
  }

  async broadcast(): Promise<void> {
    const { body } = await this.#postOnce(`/lists/${this.listId}/messages`, {
      message: { content: 'The library is open' },
    })
    this.broadcasts.push((body.message as { id: number }).id)
  }

  async sendTransactional(phone: number): Promise<void> {
    const message = {
      number: formatPhoneNumber(phone),
      content: 'Your book is here',
      webhook_callback_url: this.callbacks.url,
    }
    const { body } = await this.#postOnce('/transactional_messages', { transactional_message: message })
    this.transactional.push((body.transactional_message as { id: number }).id)
  }

  #expect(phone: number, type: string): void {
    this.expected.set(phone, [...(this.expected.get(phone) ?? []), type])
  }

  /** Kills all workers while the supervisor cannot restart them; `during` runs before others are started. */
  async killWorkers(during: () => Promise<void>): Promise<void> {
    await this.#recordKill(() => this.installation.replaceWorkers(during))
  }

  /** Kills a process that the supervisor restarts, or all processes of the database. */
  async kill(role: 'api' | 'gateway' | 'database', during: () => Promise<void>): Promise<void> {
    await this.#recordKill(async () => {
      if (role === 'database') return this.installation.killDatabase(during)
      await waitFor(() => this.installation.pid(role), { what: `a ${role} to kill` })
      this.installation.kill(role)
      await during()
    })
  }

  async #recordKill(kill: () => Promise<void>): Promise<void> {
    const from = performance.now()
    await kill()
    this.kills.push({ from, to: performance.now() })
  }

  /** Runs `work` with a connection to the database, which may be restarting. */
  withClient<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    return this.installation.withClient(work)
  }

  /** Ends the leases of killed workers, as ten seconds do. No other worker may run. */
  async expireLeases(): Promise<void> {
    await this.withClient((client) =>
      client.query('update endpoints set leased_until = clock_timestamp() where leased_by is not null'),
    )
  }

  /** Waits until no worker has leased an endpoint, some seconds after the last delivery. */
  async waitUntilReleased(): Promise<void> {
    const leased = 'select from endpoints where leased_by is not null'
    await this.withClient((client) =>
      waitFor(async () => (await client.query(leased)).rowCount === 0, { what: 'the endpoints to be released' }),
    )
  }

  /**
   * Waits until all messages and results are reported, all events numbered, and all deliveries made. Texts may have become unknown
   * when a gateway was killed; their messages are reported ten minutes later.
   */
  async settle(timeoutMs = 0): Promise<void> {
    await this.withClient((client) =>
      waitFor(async () => (await client.query(settledSql)).rowCount === 1, {
        timeoutMs,
        what: 'all events to be delivered',
      }),
    )
    const last = await this.lastPosition()
    await waitFor(() => (this.read.at(-1)?.position ?? 0) >= last, { what: 'the feed to be read' })
  }

  /** Returns the ids of messages with a text whose result is not known. */
  async unknownMessages(): Promise<Set<number>> {
    return this.withClient(async (client) => {
      const { rows } = await client.query<{ message_id: string }>(unknownSql)
      return new Set(rows.map(({ message_id }) => Number(message_id)))
    })
  }

  async lastPosition(): Promise<number> {
    return this.withClient(async (client) => {
      const { rows } = await client.query<{ last: string }>('select last_position as last from event_sequence')
      return Number(rows[0]?.last)
    })
  }

  /** Reads the feed from its beginning to its end. */
  async readFromStart(): Promise<FeedEvent[]> {
    const all: FeedEvent[] = []
    for (let after = 0; ; ) {
      const { events, next_after } = await this.#readPage(`after=${after}&limit=50`)
      all.push(...events)
      if (events.length === 0) return all
      after = next_after
    }
  }

  async #readPage(query: string) {
    const { body } = await this.#call('GET', `/events?${query}`)
    return body as unknown as { events: FeedEvent[]; next_after: number }
  }

  async #readFeed(): Promise<void> {
    for (let after = 0; !this.#stopping.signal.aborted; ) {
      const { events, next_after } = await this.#readPage(`after=${after}&limit=20&wait=1`)
      this.read.push(...events)
      after = next_after
    }
  }

  /** Posts with one idempotency key until it succeeds; the key of a request whose api was killed is claimed until its lease ends. */
  #postOnce(path: string, body: object): Promise<ApiResponse> {
    return this.#call('POST', path, body, { 'idempotency-key': randomUUID() })
  }

  /** Calls the API until it responds, whatever is killed meanwhile; throws if it rejects the request. */
  async #call(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<ApiResponse> {
    const isKeyed = 'idempotency-key' in headers
    const final = async () => {
      const response = await this.installation.call(method, path, body, headers).catch(() => undefined)
      const isTemporary = response === undefined || response.status >= 500 || (isKeyed && response.status === 409)
      return isTemporary ? undefined : response
    }
    const what = `a response to ${method} ${path}`
    const response = await waitFor(final, { timeoutMs: isKeyed ? idempotencyLeaseMs + 60_000 : 60_000, what })
    if (response.status >= 300)
      throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(response.body)}`)
    return response
  }

  /** Stops the reader and the installation. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await this.#reading?.catch(() => {})
    this.destroy()
  }

  destroy(): void {
    this.#stopping.abort()
    this.installation.destroy()
    for (const receiver of [...this.receivers, this.callbacks]) receiver.close()
    this.#scratch.remove()
  }
}

/** Messages with a text whose result is not known. */
const unknownSql = /* sql */ `select message_id from message_totals where unknown > 0`

const settledSql = /* sql */ `
  select 1 where not exists (select from event_outbox)
             and not exists (select from deliveries)
             and not exists (select from messages where status <> 'sent' and kind <> 'system')
             and not exists (select from message_totals where queued + submitting + sent > 0)
             and not exists (select from messages where kind = 'broadcast' and reported_at is null and id not in (${unknownSql}))
             and not exists (select from messages where report_at is not null and id not in (${unknownSql}))
             and not exists (select from inbound_messages where interpreted_at is null)`
