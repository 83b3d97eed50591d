import { readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { LinkTokens } from '../../../src/links/link-tokens.ts'
import { waitFor } from '../../wait-for.ts'
import { Installation } from '../installation.ts'
import { readIfExists } from '../process-files.ts'
import { makeList } from '../texting.ts'

// An installation with a message that has a tracked link, and people who open its short URLs: each of them once.

const preload = fileURLToPath(new URL('./kill-at-sync.ts', import.meta.url))
const firstPhone = 2_126_000_000
const link = 'https://pantry.example/hours'
/** Requests at a time. */
const concurrency = 48

export class ClickWorld {
  readonly installation: Installation
  readonly #clicksFolder: string
  readonly #order: string
  readonly #tokens: LinkTokens
  readonly #linkId: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: concurrency })
  #nextPhone = firstPhone
  /** The people who were redirected. */
  readonly redirected = new Set<number>()
  /** Requests that were not redirected: by their status, 0 without a response. */
  readonly failures = new Map<number, number>()

  private constructor(installation: Installation, linkId: number, order: string) {
    this.installation = installation
    this.#clicksFolder = join(installation.dataDir, 'clicks')
    this.#order = order
    this.#tokens = new LinkTokens(readFileSync(join(installation.dataDir, 'secret.key'), 'utf8').trim())
    this.#linkId = linkId
  }

  static async open(folder: string): Promise<ClickWorld> {
    const order = join(folder, 'kill-at-sync')
    const installation = await Installation.open({
      ...{ binds: 1, window: 10, latencyMs: 0, leaseMs: 2_000 },
      env: { NODE_OPTIONS: `--import ${preload}`, CARILLON_TEST_KILL_AT_SYNC: order },
    })
    const listId = await makeList(installation, 'Readers', [firstPhone])
    const sent = await installation.call('POST', `/lists/${listId}/messages`, {
      message: { content: `See ${link}`, track_links: true },
    })
    if (sent.status !== 200) throw new Error(`the message was rejected: ${JSON.stringify(sent.body)}`)
    const client = await installation.connect()
    const { rows } = await client.query<{ id: string }>('select id from links')
    await client.end()
    const world = new ClickWorld(installation, Number(rows[0]?.id), order)
    await world.openUrls(1)
    return world
  }

  /** Opens the short URLs of this many other people, at most `concurrency` at a time; resolves when each has a response or none. */
  async openUrls(count: number): Promise<void> {
    const last = this.#nextPhone + count
    const person = async () => {
      while (this.#nextPhone < last) await this.#openOne(this.#nextPhone++)
    }
    await Promise.all(Array.from({ length: Math.min(concurrency, count) }, person))
  }

  #openOne(phone: number): Promise<void> {
    const token = this.#tokens.write({ linkId: this.#linkId, phone })
    return new Promise((resolve) => {
      const end = (status: number, location?: string) => {
        if (status === 302 && location === link) this.redirected.add(phone)
        else this.failures.set(status, (this.failures.get(status) ?? 0) + 1)
        resolve()
      }
      request(`${this.installation.apiUrl.replace('/api/v2', '')}/l/${token}`, {
        agent: this.#agent,
        headers: { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)' },
        timeout: 30_000,
      })
        .on('response', (response) => {
          response.resume()
          end(response.statusCode ?? 0, response.headers.location)
        })
        .on('timeout', () => end(0))
        .on('error', () => end(0))
        .end()
    })
  }

  /** Makes the next process that syncs a file die, before or after it. */
  killAtSync(moment: 'before' | 'after'): void {
    writeFileSync(this.#order, moment)
  }

  cancelKillAtSync(): void {
    rmSync(this.#order, { force: true })
  }

  /** Makes all files so old that they are deleted as soon as they are stored. */
  age(): void {
    for (const name of readdirSync(this.#clicksFolder)) utimesSync(join(this.#clicksFolder, name), 1, 1)
  }

  files(): string[] {
    return readdirSync(this.#clicksFolder)
  }

  /** Waits until the API is ready, also after its process was killed. */
  async ready(): Promise<void> {
    await waitFor(() => this.installation.isReady().catch(() => false), {
      timeoutMs: 30_000,
      what: 'the API to be ready',
    })
  }

  /** Waits until every byte of the files is stored, and returns how the clicks in the database differ from those that were redirected. */
  async check(timeoutMs = 30_000): Promise<string[]> {
    const client = await this.installation.connect()
    try {
      await waitFor(async () => (await this.#unstored(client)).length === 0, {
        timeoutMs,
        what: 'all clicks to be stored',
      })
      const { rows } = await client.query<{ phone: string; n: string }>(
        'select phone, count(*) as n from clicks group by phone',
      )
      const stored = new Map(rows.map(({ phone, n }) => [Number(phone), Number(n)]))
      const lost = [...this.redirected].filter((phone) => !stored.has(phone))
      const doubled = [...stored].filter(([, n]) => n > 1)
      const unknown = [...stored.keys()].filter((phone) => phone >= this.#nextPhone || phone < firstPhone)
      const { rows: sums } = await client.query<{ counted: string; people: string; clickers: string; clicks: string }>(
        `select click_count as counted, unique_click_count as people, (select count(*) from clicks) as clicks,
                (select sum(click_count) from clickers) as clickers from links`,
      )
      return [
        ...(lost.length > 0 ? [`${lost.length} clicks were redirected and are lost`] : []),
        ...(doubled.length > 0 ? [`${doubled.length} clicks are stored twice`] : []),
        ...(unknown.length > 0 ? [`${unknown.length} clicks were never made`] : []),
        ...sums.flatMap((sum) =>
          new Set(Object.values(sum).map(String)).size > 1 ? [`counts differ: ${JSON.stringify(sum)}`] : [],
        ),
      ]
    } finally {
      await client.end()
    }
  }

  /** The files whose clicks are not all stored. */
  async #unstored(client: pg.Client): Promise<string[]> {
    const { rows } = await client.query<{ name: string; stored: string }>('select name, stored from click_spools')
    const storedOf = new Map(rows.map(({ name, stored }) => [name, Number(stored)]))
    return this.files().filter((name) => {
      const bytes = readIfExists(join(this.#clicksFolder, name))
      return (storedOf.get(name) ?? -1) < bytes.lastIndexOf('\n') + 1
    })
  }

  close(): void {
    this.#agent.destroy()
    this.installation.destroy()
  }
}
