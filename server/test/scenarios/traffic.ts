import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { leaseMs as idempotencyLeaseMs } from '../../src/http/idempotency.queries.ts'
import { formatPhoneNumber } from '../../src/sms/phone-number.ts'
import { waitFor } from '../wait-for.ts'
import type { ApiResponse } from './api-calls.ts'
import type { Installation } from './installation.ts'
import { optOutByStop } from './opt-outs.ts'
import { phonesFrom } from './random-faults.ts'
import { makeList } from './texting.ts'

// The traffic of a busy day: repeated broadcasts, single texts and opt-outs. Records everything that the API promised;
// check-promises.ts compares the records with the texts that the carrier accepted.

export type TestList = { listId: number; phones: number[] }

export type Broadcast = {
  messageId: number
  content: string
  list: TestList
}

export type SingleText = { content: string; phone: number; messageId: number }

/** A requested opt-out, and the time from which it is in force; undefined if no response promised it. */
export type RequestedOptOut = {
  phone: number
  list: TestList
  by: 'api' | 'stop'
  requestedAt: number
  inForceAt: number | undefined
}

export type TrafficOptions = {
  lists: number
  /** Number of subscribers per list. */
  subscribers: number
  singleTextsPerSecond: number
  random: () => number
}

const firstSubscriber = 2_126_000_000
const firstSingleRecipient = 3_126_000_000
/** Time between two opt-outs. */
const optOutEveryMs = 400
/** Time between two checks whether a broadcast has ended. */
const statusPollMs = 200
const simultaneousBroadcasts = 2

export class Traffic {
  readonly broadcasts: Broadcast[] = []
  readonly singleTexts: SingleText[] = []
  readonly optOuts: RequestedOptOut[] = []
  /** Responses that violate a promise, one sentence each. */
  readonly faults: string[] = []
  readonly #installation: Installation
  readonly #options: TrafficOptions
  readonly #lists: TestList[] = []
  readonly #stopping = new AbortController()
  #running: Promise<unknown> = Promise.resolve()

  constructor(installation: Installation, options: TrafficOptions) {
    this.#installation = installation
    this.#options = options
  }

  /** Imports the lists and starts all traffic. */
  async start(): Promise<void> {
    const { lists, subscribers } = this.#options
    for (let n = 0; n < lists; n++) {
      const phones = phonesFrom(firstSubscriber + n * 10_000_000, subscribers)
      this.#lists.push({ listId: await makeList(this.#installation, `List ${n}`, phones), phones })
    }
    const senders = [this.#sendSingleTexts(), this.#optOutByApi(), this.#optOutByStop()]
    for (let n = 0; n < simultaneousBroadcasts; n++) senders.push(this.#sendBroadcasts(n))
    for (const sender of senders) {
      sender.catch((error) => this.faults.push(`traffic failed: ${(error as Error).stack}`))
    }
    this.#running = Promise.allSettled(senders)
  }

  /** Stops new requests, and waits for the responses to the others. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  /** Sends a broadcast to one list after the other. */
  async #sendBroadcasts(lane: number): Promise<void> {
    for (let round = 0; !this.#isStopping; round++) {
      const list = this.#lists[(round * simultaneousBroadcasts + lane) % this.#lists.length] as TestList
      const content = `List ${list.listId}, notice ${round}-${lane}: the water is safe`
      const response = await this.#postOnce(`/lists/${list.listId}/messages`, { message: { content } })
      const { id: messageId } = response.body.message as { id: number }
      this.broadcasts.push({ messageId, content, list })
      while (!this.#isStopping) {
        const shown = await this.#installation
          .call('GET', `/lists/${list.listId}/messages/${messageId}`)
          .catch(() => undefined)
        if ((shown?.body.message as { status: string } | undefined)?.status === 'sent') break
        await delay(statusPollMs)
      }
    }
  }

  /** Sends single texts at a steady rate. */
  async #sendSingleTexts(): Promise<void> {
    for (let n = 0; !this.#isStopping; n++) {
      await delay(1_000 / this.#options.singleTextsPerSecond)
      const phone = firstSingleRecipient + n
      const content = `Your code is ${100_000 + n}`
      const message = { transactional_message: { number: formatPhoneNumber(phone), content } }
      const response = await this.#postOnce('/transactional_messages', message)
      const { id } = response.body.transactional_message as { id: number }
      this.singleTexts.push({ content, phone, messageId: id })
    }
  }

  /** Posts with one idempotency key until it succeeds; throws after a minute or on a client error. */
  async #postOnce(path: string, body: object): Promise<ApiResponse> {
    const key = randomUUID()
    // the key of a request whose api was killed is claimed until its lease ends
    for (const deadline = performance.now() + idempotencyLeaseMs + 60_000; ; await delay(100)) {
      const response = await this.#installation
        .call('POST', path, body, { 'idempotency-key': key })
        .catch(() => undefined)
      if (response?.status === 200) return response
      const isTemporary = response === undefined || response.status === 409 || response.status >= 500
      if (!isTemporary) throw new Error(`POST ${path}: unexpected ${response.status} ${JSON.stringify(response.body)}`)
      if (performance.now() > deadline) throw new Error(`POST ${path} did not succeed for two minutes`)
    }
  }

  async #optOutByApi(): Promise<void> {
    while (!this.#isStopping) {
      await delay(optOutEveryMs)
      const optOut = this.#choose('api')
      if (!optOut) continue
      const path = `/lists/${optOut.list.listId}/subscribers/${formatPhoneNumber(optOut.phone)}`
      for (let attempt = 0; ; attempt++) {
        const response = await this.#installation.call('DELETE', path).catch(() => undefined)
        if (response?.status === 200) {
          optOut.inForceAt = Date.now()
          break
        }
        // if an earlier request succeeded and its response was lost, nothing was promised
        if (response && response.status < 500) {
          if (attempt === 0)
            this.faults.push(`DELETE ${path}: unexpected ${response.status} ${JSON.stringify(response.body)}`)
          break
        }
        if (attempt > 600) throw new Error(`DELETE ${path} did not succeed for a minute`)
        await delay(100)
      }
    }
  }

  /** Sends one STOP at a time, because the count of acknowledged MOs does not distinguish them. */
  async #optOutByStop(): Promise<void> {
    while (!this.#isStopping) {
      await delay(optOutEveryMs)
      const optOut = this.#choose('stop')
      if (!optOut) continue
      try {
        const { inForceAt } = await optOutByStop(this.#installation, optOut.phone, { timeoutMs: 20_000 })
        optOut.inForceAt = inForceAt
      } catch {
        // a killed simulator loses its MOs, so nothing was promised
        await waitFor(() => this.#installation.control('GET', '/state'), {
          timeoutMs: 60_000,
          what: 'the simulator to be back',
        })
      }
    }
  }

  /** Records an opt-out of a random subscriber; returns undefined if that one has opted out already. */
  #choose(by: RequestedOptOut['by']): RequestedOptOut | undefined {
    const { random } = this.#options
    const list = this.#lists[Math.floor(random() * this.#lists.length)] as TestList
    const phone = list.phones[Math.floor(random() * list.phones.length)] as number
    if (this.optOuts.some((optOut) => optOut.phone === phone)) return undefined
    const optOut: RequestedOptOut = { phone, list, by, requestedAt: Date.now(), inForceAt: undefined }
    this.optOuts.push(optOut)
    return optOut
  }
}
