import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '../../wait-for.ts'
import { type Attack, attacksOn, csv, fileOfLongValues, type HostileRequest, json } from './attacks.ts'

// An account that does its worst: within the API, and with keys like any other, it repeats all attacks as fast as it gets
// responses.

const keyCount = 8
const drippingUploads = 20
const simultaneousRequests = 3
const burst = 400
/** Pause of a client after a `Retry-After`, which it ignores. */
const impatienceMs = 20

export type Access = { apiUrl: string; authorization: string }

/** The responses that the account got. */
export type Answers = {
  /** Number of responses by attack and status; a status of 0 is a request without a response. */
  statuses: Map<string, number>
  /** The codes of 422 that name a cap. */
  caps: Set<string>
  /** The `Retry-After` of all responses 429 and 503. */
  retryAfter: Set<string | undefined>
  /** Responses other than 429 of a burst of 400 calls over all keys, and its duration. */
  burst: { accepted: number; seconds: number }
}

type HostileResponse = { status: number; retryAfter: string | undefined; body: string }

export class HostileAccount {
  readonly #access: Access
  readonly #agent = new Agent({ keepAlive: true })
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>[] = []
  readonly #keys: string[] = []
  #attacks: Record<string, Attack> = {}
  #listId = 0
  readonly answers: Answers = {
    statuses: new Map(),
    caps: new Set(),
    retryAfter: new Set(),
    burst: { accepted: 0, seconds: 0 },
  }

  constructor(access: Access) {
    this.#access = access
    this.#keys.push(access.authorization)
  }

  /** Creates keys, and a list of 1,000 people whose field `a` has 9,998 characters. */
  async prepare(): Promise<void> {
    const user = Buffer.from(this.#access.authorization.slice('Basic '.length), 'base64').toString().split(':')[0]
    for (let n = 1; n < keyCount; n++) {
      const made = await this.#create('api_key', json('POST', '/api_keys', { api_key: { name: `Key ${n}` } }))
      this.#keys.push(`Basic ${Buffer.from(`${user}:${made.key}`).toString('base64')}`)
    }
    const { id } = await this.#create('list', json('POST', '/lists', { list: { name: 'Everybody' } }))
    this.#listId = Number(id)
    const list = `/lists/${id}`
    const field = { label: 'A', key: 'a', content_type: 'text', max_length: 9_999 }
    await this.#create('custom_field', json('POST', `${list}/custom_fields`, { custom_field: field }))
    const started = await this.#create('import', csv(list, fileOfLongValues()))
    const path = `${list}/imports/${started.id}`
    const what = 'the import of the long values'
    await waitFor(async () => (await this.#create('import', { method: 'GET', path })).status === 'done', { what })
    const message = await this.#create('message', json('POST', `${list}/messages`, { message: { content: 'Hi' } }))
    this.#attacks = attacksOn(this.#listId, Number(message.id))
  }

  /** Calls with all keys at once, and then queues as many changes of tags as are accepted. */
  async fillQueues(): Promise<void> {
    const from = performance.now()
    const calls = Array.from({ length: burst }, () => this.#attempt('burst', { method: 'GET', path: '/accounts/me' }))
    const statuses = await Promise.all(calls)
    const accepted = statuses.filter((status) => status !== 429).length
    this.answers.burst = { accepted, seconds: (performance.now() - from) / 1_000 }
    const tags = this.#attacks.tags as Attack
    let isFull = false
    let n = 0
    const fill = async () => {
      while (!isFull && !this.#stopping.signal.aborted) {
        const status = await this.#attempt('tags', tags(++n))
        if (status === 422) isFull = true
        if (status === 429) await delay(impatienceMs)
      }
    }
    await Promise.all(Array.from({ length: 4 * simultaneousRequests }, fill))
  }

  /** Starts all attacks, which go on until `stop`. */
  start(): void {
    for (const [name, attack] of Object.entries(this.#attacks)) {
      let n = 0
      const repeat = async () => {
        while (!this.#stopping.signal.aborted) {
          const status = await this.#attempt(name, attack(++n))
          if (status === 429 || status === 0) await delay(impatienceMs)
        }
      }
      for (let i = 0; i < simultaneousRequests; i++) this.#running.push(repeat())
    }
    for (let n = 0; n < drippingUploads; n++) this.#running.push(this.#drip(n))
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#agent.destroy()
    await Promise.all(this.#running)
  }

  /** Sends a request with the next key and records its response; returns the status. */
  async #attempt(name: string, attempt: HostileRequest): Promise<number> {
    const isStopping = () => this.#stopping.signal.aborted
    const response = await this.#send(attempt).catch(() => undefined)
    if (isStopping()) return 0
    const { status, retryAfter, body } = response ?? { status: 0, retryAfter: undefined, body: '' }
    this.#count(name, status)
    if (status === 429 || status === 503) this.answers.retryAfter.add(retryAfter)
    if (status === 422) {
      const cap = /"(too_many_\w+)"/.exec(body)?.[1]
      if (cap !== undefined) this.answers.caps.add(cap)
    }
    return status
  }

  #count(name: string, status: number): void {
    const key = `${name} ${status}`
    this.answers.statuses.set(key, (this.answers.statuses.get(key) ?? 0) + 1)
  }

  #nextKey = 0
  #send({ method, path, body, contentType, headers }: HostileRequest): Promise<HostileResponse> {
    const authorization = this.#keys[this.#nextKey++ % this.#keys.length] as string
    return new Promise((resolve, reject) => {
      const sent = request(`${this.#access.apiUrl}${path}`, {
        method,
        agent: this.#agent,
        headers: {
          ...{ authorization, ...headers },
          // Node sends the body of a DELETE without a length otherwise
          ...(body !== undefined && { 'content-type': contentType, 'content-length': Buffer.byteLength(body) }),
        },
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => (text += part)).on('error', reject)
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'], body: text })
        })
      })
      sent.end(body)
    })
  }

  /** Uploads a file at one byte per 100 ms, again and again. */
  async #drip(n: number): Promise<void> {
    const authorization = this.#keys[n % this.#keys.length] as string
    while (!this.#stopping.signal.aborted) {
      const ended = new AbortController()
      const upload = request(`${this.#access.apiUrl}/lists/${this.#listId}/imports`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'text/csv' },
      })
      const end = () => ended.abort()
      upload.on('response', (response) => {
        this.#count('dripping uploads', response.statusCode ?? 0)
        response.resume()
      })
      upload.on('error', end).on('close', end)
      upload.write('phone_number\n')
      while (!this.#stopping.signal.aborted && !ended.signal.aborted) {
        upload.write('2')
        await delay(100, undefined, { signal: ended.signal }).catch(() => {})
      }
      upload.destroy()
      await delay(impatienceMs)
    }
  }

  /** Sends a request that must succeed, and returns the noun of its response. */
  async #create(noun: string, given: HostileRequest): Promise<Record<string, unknown>> {
    const { status, body } = await this.#send(given)
    if (status >= 300) throw new Error(`${given.method} ${given.path}: ${status} ${body}`)
    return (JSON.parse(body) as Record<string, Record<string, unknown>>)[noun] ?? {}
  }
}
