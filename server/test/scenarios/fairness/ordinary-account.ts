import { setTimeout as delay } from 'node:timers/promises'
import { formatPhoneNumber } from '../../../src/sms/phone-number.ts'
import { waitFor } from '../../wait-for.ts'
import type { Call } from '../api-calls.ts'
import type { Installation } from '../installation.ts'
import { phonesFrom } from '../random-faults.ts'
import { AcceptedTexts } from './accepted-texts.ts'

// The work of an account that uses the API as its documentation shows, each with the time from the request to its effect.

/** The kinds of work, and what their time is. */
export const kinds = {
  broadcast: 'POST to the last text at the carrier',
  transactional: 'POST to the text at the carrier, median of 7',
  import: 'POST of 1,000 rows to `done`',
  tag: 'POST of a tag of one number to the tagged subscriber',
  add: 'POST of a subscriber to its 201, median of 7',
  optOut: 'DELETE of a subscriber to its 200, median of 7',
  page: 'GET of a page of numbers, median of 7',
  read: 'GET of the account, median of 7',
} as const

export type Kind = keyof typeof kinds
/** Milliseconds. */
export type Times = Record<Kind, number>

const singles = 7
const importRows = 1_000
/** Between two requests that ask for a result, so that the account stays far below its limit. */
const pollMs = 30

export class OrdinaryAccount {
  readonly #call: Call
  readonly #recipients: number
  readonly #accepted: AcceptedTexts
  #round = 0
  #listId = 0

  constructor(installation: Installation, call: Call, recipients: number) {
    this.#call = call
    this.#recipients = recipients
    this.#accepted = new AcceptedTexts(installation.rawFile)
  }

  async prepare(): Promise<void> {
    this.#listId = await this.#makeList('Neighbors')
    await this.#import(this.#listId, phonesFrom(3_126_000_000, this.#recipients))
  }

  /** Does each kind of work once, one after the other, and returns the times. `ended` is called when a kind has ended. */
  async work(ended: (kind: Kind) => Promise<void> = async () => {}): Promise<Times> {
    const round = ++this.#round
    const phones = phonesFrom(3_226_000_000 + round * 10_000, importRows).map(formatPhoneNumber)
    const target = await this.#makeList(`Import ${round}`)
    const subscribers = `/lists/${target}/subscribers`
    const works: Record<Kind, () => Promise<number>> = {
      broadcast: () => this.#broadcast(`The pantry is open, week ${round}`),
      transactional: () => this.#sendSingles(`Your box is ready ${round}`),
      import: () => timed(() => this.#import(target, phonesFrom(3_226_000_000 + round * 10_000, importRows))),
      tag: () => timed(() => this.#tag(target, phones[0] as string, 'vip')),
      add: () =>
        medianOf((n) => {
          const phone_number = formatPhoneNumber(3_326_000_000 + round * 100 + n)
          return this.#expect(201, 'POST', subscribers, { subscriber: { phone_number } })
        }),
      optOut: () => medianOf((n) => this.#expect(200, 'DELETE', `${subscribers}/${phones[n]}`)),
      page: () => medianOf((n) => this.#expect(200, 'GET', `${subscribers}?page=${n + 1}`)),
      read: () => medianOf(() => this.#expect(200, 'GET', '/accounts/me')),
    }
    const times: Partial<Times> = {}
    for (const [kind, work] of Object.entries(works) as [Kind, () => Promise<number>][]) {
      times[kind] = await work()
      await ended(kind)
    }
    return times as Times
  }

  async #broadcast(content: string): Promise<number> {
    const postedAt = Date.now()
    await this.#expect(200, 'POST', `/lists/${this.#listId}/messages`, { message: { content } })
    return (await this.#acceptedAt(content, this.#recipients)) - postedAt
  }

  async #sendSingles(content: string): Promise<number> {
    const postedAt: number[] = []
    for (let n = 0; n < singles; n++) {
      postedAt.push(Date.now())
      const number = formatPhoneNumber(3_136_000_000 + this.#round * 100 + n)
      const message = { number, content: `${content} ${n}` }
      await this.#expect(200, 'POST', '/transactional_messages', { transactional_message: message })
      await delay(50)
    }
    const times: number[] = []
    for (const [n, at] of postedAt.entries()) times.push((await this.#acceptedAt(`${content} ${n}`, 1)) - at)
    return median(times)
  }

  /** Waits until the carrier has accepted `count` texts with this content, and returns the time of the last. */
  #acceptedAt(content: string, count: number): Promise<number> {
    return waitFor(() => this.#accepted.timeOf(content, count), { timeoutMs: 120_000, what: `the text ${content}` })
  }

  async #makeList(name: string): Promise<number> {
    const { list } = await this.#expect(200, 'POST', '/lists', { list: { name } })
    return (list as { id: number }).id
  }

  async #import(listId: number, phones: number[]): Promise<void> {
    const file = `phone_number\n${phones.map(formatPhoneNumber).join('\n')}\n`
    const path = `/lists/${listId}/imports`
    const { id } = (await this.#expect(202, 'POST', path, file)).import as { id: number }
    await this.#poll(`${path}/${id}`, ({ import: found }) => (found as { status: string }).status === 'done')
  }

  async #tag(listId: number, phone: string, tag: string): Promise<void> {
    const bulk_tagging = { phone_numbers: [phone], tags: [tag] }
    await this.#expect(200, 'POST', `/lists/${listId}/bulk_taggings`, { bulk_tagging })
    const path = `/lists/${listId}/subscribers/${phone}`
    await this.#poll(path, ({ subscriber }) => (subscriber as { tags: string[] }).tags.includes(tag))
  }

  async #poll(path: string, isDone: (body: Record<string, unknown>) => boolean): Promise<void> {
    const done = async () => isDone(await this.#expect(200, 'GET', path)) || void (await delay(pollMs))
    await waitFor(done, { timeoutMs: 120_000, what: `the result of ${path}` })
  }

  /** Calls the API, and throws unless it responds with this status. */
  async #expect(status: number, method: string, path: string, body?: object | string) {
    const response = await this.#call(method, path, body)
    if (response.status === status) return response.body
    throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(response.body)}`)
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  await work()
  return performance.now() - from
}

/** Calls the work seven times and returns its median time. */
async function medianOf(work: (n: number) => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < singles; n++) times.push(await timed(() => work(n)))
  return median(times)
}

export function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
