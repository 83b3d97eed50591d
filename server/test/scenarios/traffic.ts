import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { formatPhoneNumber } from '../../src/sms/phone-number.ts'
import { waitFor } from '../wait-for.ts'
import type { ApiResponse, Installation } from './installation.ts'
import { optOutByStop } from './opt-outs.ts'
import { phonesFrom } from './random-faults.ts'

// The traffic of a busy day: repeated broadcasts, single texts and opt-outs. All promises are recorded, and
// check-promises.ts compares them with the texts that the carrier accepted.

export type Town = { listId: number; phones: number[] }

export type Broadcast = {
  messageId: number
  content: string
  town: Town
  /** Times of the first request and of the successful response. */
  postedAt: number
  answeredAt: number
}

export type Single = { content: string; phone: number; messageId: number }

/** An opt-out, its list, and the time from which it is in force; infinite when no response promised it. */
export type Departure = {
  phone: number
  town: Town
  by: 'api' | 'stop'
  askedAt: number
  inForceAt: number | undefined
}

export type TrafficOptions = { towns: number; people: number; singlesPerSecond: number; random: () => number }

const firstTown = 2_126_000_000
const firstSingle = 3_126_000_000
/** Time between two opt-outs. */
const optOutEveryMs = 400
/** Time between two checks whether broadcasts have ended. */
const lookMs = 200
/** Number of simultaneous broadcasts. */
const beside = 2

export class Traffic {
  readonly broadcasts: Broadcast[] = []
  readonly singles: Single[] = []
  readonly departures: Departure[] = []
  /** Responses that violate a promise, a sentence each. */
  readonly faults: string[] = []
  readonly #installation: Installation
  readonly #options: TrafficOptions
  readonly #towns: Town[] = []
  readonly #stopping = new AbortController()
  #running: Promise<unknown> = Promise.resolve()

  constructor(installation: Installation, options: TrafficOptions) {
    this.#installation = installation
    this.#options = options
  }

  /** Imports the towns and starts all traffic. */
  async start(): Promise<void> {
    const { towns, people } = this.#options
    for (let n = 0; n < towns; n++) {
      const phones = phonesFrom(firstTown + n * 10_000_000, people)
      this.#towns.push({ listId: await this.#installation.makeList(`Town ${n}`, phones), phones })
    }
    const all = [this.#post(), this.#optOutByApi(), this.#optOutByStop()]
    for (let n = 0; n < beside; n++) all.push(this.#text(n))
    for (const each of all) {
      each.catch((error) => this.faults.push(`the traffic broke down: ${(error as Error).stack}`))
    }
    this.#running = Promise.allSettled(all)
  }

  /** Stops new traffic, and waits for the responses to the rest. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  /** Texts one town after the other. */
  async #text(lane: number): Promise<void> {
    for (let round = 0; !this.#isStopping; round++) {
      const town = this.#towns[(round * beside + lane) % this.#towns.length] as Town
      const content = `Town ${town.listId}, notice ${round}-${lane}: the water is safe`
      const postedAt = Date.now()
      const answer = await this.#postOnce(`/lists/${town.listId}/messages`, { message: { content } })
      if (answer === undefined) return
      const { id: messageId } = answer.body.message as { id: number }
      this.broadcasts.push({ messageId, content, town, postedAt, answeredAt: Date.now() })
      while (!this.#isStopping) {
        const now = await this.#installation
          .call('GET', `/lists/${town.listId}/messages/${messageId}`)
          .catch(() => undefined)
        if ((now?.body.message as { status: string } | undefined)?.status === 'sent') break
        await delay(lookMs)
      }
    }
  }

  /** Sends single texts at a steady rate while they are accepted. */
  async #post(): Promise<void> {
    for (let n = 0; !this.#isStopping; n++) {
      await delay(1_000 / this.#options.singlesPerSecond)
      const phone = firstSingle + n
      const content = `Your code is ${100_000 + n}`
      const message = { transactional_message: { number: formatPhoneNumber(phone), content } }
      const answer = await this.#postOnce('/transactional_messages', message)
      if (answer === undefined) return
      const { id } = answer.body.transactional_message as { id: number }
      this.singles.push({ content, phone, messageId: id })
    }
  }

  /** Posts with one idempotency key until it succeeds; undefined when the run has ended. */
  async #postOnce(path: string, body: object): Promise<ApiResponse | undefined> {
    const key = randomUUID()
    for (const until = performance.now() + 60_000; ; await delay(100)) {
      const answer = await this.#installation
        .call('POST', path, body, { 'idempotency-key': key })
        .catch(() => undefined)
      if (answer?.status === 200) return answer
      const isPassing = answer === undefined || answer.status === 409 || answer.status >= 500
      if (!isPassing) throw new Error(`POST ${path} was answered with ${answer.status} ${JSON.stringify(answer.body)}`)
      if (performance.now() > until) throw new Error(`POST ${path} was not answered for a minute`)
    }
  }

  async #optOutByApi(): Promise<void> {
    while (!this.#isStopping) {
      await delay(optOutEveryMs)
      const departure = this.#choose('api')
      if (!departure) continue
      const path = `/lists/${departure.town.listId}/subscribers/${formatPhoneNumber(departure.phone)}`
      for (let tries = 0; ; tries++) {
        const answer = await this.#installation.call('DELETE', path).catch(() => undefined)
        if (answer?.status === 200) {
          departure.inForceAt = Date.now()
          break
        }
        // the first request may have succeeded and its response been lost: then nothing was promised
        if (answer && answer.status < 500) {
          if (tries === 0) this.faults.push(`${path} was answered with ${answer.status} ${JSON.stringify(answer.body)}`)
          break
        }
        if (tries > 600) throw new Error(`${path} was not answered for a minute`)
        await delay(100)
      }
    }
  }

  /** One STOP at a time, because the count of answered MOs cannot tell them apart. */
  async #optOutByStop(): Promise<void> {
    while (!this.#isStopping) {
      await delay(optOutEveryMs)
      const departure = this.#choose('stop')
      if (!departure) continue
      try {
        const { inForceAt } = await optOutByStop(this.#installation, departure.phone, { timeoutMs: 20_000 })
        departure.inForceAt = inForceAt
      } catch {
        // a carrier that was killed has lost its MOs, so nothing was promised
        await waitFor(() => this.#installation.control('GET', '/state'), {
          timeoutMs: 60_000,
          what: 'the carrier to be back',
        })
      }
    }
  }

  /** Returns a subscriber of a town who has not opted out. */
  #choose(by: Departure['by']): Departure | undefined {
    const { random } = this.#options
    const town = this.#towns[Math.floor(random() * this.#towns.length)] as Town
    const phone = town.phones[Math.floor(random() * town.phones.length)] as number
    if (this.departures.some((departure) => departure.phone === phone)) return undefined
    const departure: Departure = { phone, town, by, askedAt: Date.now(), inForceAt: undefined }
    this.departures.push(departure)
    return departure
  }
}
