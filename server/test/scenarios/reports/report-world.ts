import { join } from 'node:path'
import type pg from 'pg'
import { makeScratch } from '../../carillon-process.ts'
import { bucket, startS3 } from '../../s3-server.ts'
import { waitFor } from '../../wait-for.ts'
import { EventReceiver } from '../events/event-receiver.ts'
import { Installation } from '../installation.ts'
import { listIfExists } from '../process-files.ts'

/** A report as the API returns it. */
export type Report = {
  id: number
  s3_url: string | null
  percent_complete: number
  processed_rows: number
  counts_calculated: boolean
  run_errors: string | null
} & Record<string, unknown>

/** A report that was ordered, with what each `GET` returned until it was complete. */
export type OrderedReport = { id: number; seen: Report[]; watching: Promise<void> }

export type StoreKind = 'directory' | 'bucket'

const days = 6
const textsPerDay = 700
/** The texts of a day are more than a MB, so that the file has more than one part of the smallest size in a bucket. */
const content = 'The library is open. '.repeat(75)
const dayMs = 86_400_000
/** The first day of the log, some days ago. */
const firstDay = new Date(Date.now() - 20 * dayMs)
const dayOf = (n: number) => new Date(firstDay.getTime() + n * dayMs).toISOString().slice(0, 10)
export const rowCount = days * (textsPerDay + 4)

/**
 * An installation with a log of six days in both directions, whose reports are in a directory or in a bucket, and a receiver of their
 * callbacks.
 */
export class ReportWorld {
  readonly installation: Installation
  readonly callbacks: EventReceiver
  readonly s3: Awaited<ReturnType<typeof startS3>> | undefined
  readonly #filesDir: string
  readonly #removeFiles: () => void

  private constructor(
    installation: Installation,
    callbacks: EventReceiver,
    s3: ReportWorld['s3'],
    files: { path: string; remove(): void },
  ) {
    this.installation = installation
    this.callbacks = callbacks
    this.s3 = s3
    this.#filesDir = files.path
    this.#removeFiles = files.remove
  }

  /** Opens everything and writes the log. */
  static async open(store: StoreKind): Promise<ReportWorld> {
    const files = makeScratch()
    const s3 = store === 'bucket' ? await startS3({ minPartBytes: 6_000_000 }) : undefined
    const callbacks = await EventReceiver.start('the receiver of callbacks', { isFailure: () => false })
    const location = s3 && {
      CARILLON_S3_BUCKET: bucket,
      CARILLON_S3_ENDPOINT: s3.location.endpoint,
      CARILLON_S3_KEY_ID: s3.location.keyId,
      CARILLON_S3_SECRET: s3.location.secret.reveal(),
      CARILLON_S3_PART_MB: '6',
    }
    const env = { CARILLON_RATE_LIMIT: 'off', CARILLON_FILES_DIR: files.path, ...location }
    const installation = await Installation.open({ binds: 1, window: 10, latencyMs: 20, leaseMs: 2_000, env })
    const world = new ReportWorld(installation, callbacks, s3, files)
    const { body } = await installation.call('PUT', '/callback_secret', { callback_secret: {} })
    callbacks.verifyWith((body.callback_secret as { secret: string }).secret)
    const created = await installation.call('POST', '/lists', { list: { name: 'Members' } })
    const { id: listId } = created.body.list as { id: number }
    await installation.withClient((client) => fillLog(client, listId))
    return world
  }

  /** Orders a report of the whole log, which counts its texts one by one, and reads it until it is complete. */
  async order(): Promise<OrderedReport> {
    const period = { date_from: dayOf(0), date_to: dayOf(days) }
    const filters = { status_array: ['delivered', 'received'] }
    const order = { ...period, ...filters, webhook_callback_url: this.callbacks.url }
    const { status, body } = await this.installation.call('POST', '/momt_reports', order)
    if (status !== 200) throw new Error(`the report was rejected: ${JSON.stringify(body)}`)
    const { id } = body.momt_report as Report
    const seen: Report[] = []
    const watching = this.#watch(id, seen)
    watching.catch(() => {}) // awaited by `settle`
    return { id, seen, watching }
  }

  async #watch(id: number, seen: Report[]): Promise<void> {
    const isComplete = async () => {
      const { status, body } = await this.installation.call('GET', `/momt_reports/${id}`)
      if (status !== 200) return false // the database was killed
      const report = body.momt_report as Report
      seen.push(report)
      return report.counts_calculated || report.run_errors !== null
    }
    await waitFor(isComplete, { timeoutMs: 120_000, what: `the report ${id} to be complete` })
  }

  /** Waits until a report is complete and its callback is delivered. */
  async settle({ watching }: OrderedReport): Promise<void> {
    await watching
    const idle = 'select 1 where not exists (select from event_outbox) and not exists (select from deliveries)'
    await this.installation.withClient((client) =>
      waitFor(async () => (await client.query(idle)).rowCount === 1, { what: 'the callbacks to be delivered' }),
    )
  }

  /** Ends the leases of killed workers, and lets others run their jobs, as some seconds do. */
  async expireLeases(): Promise<void> {
    await this.installation.withClient(async (client) => {
      await client.query('update endpoints set leased_until = clock_timestamp() where leased_by is not null')
      await client.query(
        `update pgboss.job set state = 'created', start_after = now(), heartbeat_on = null where state = 'active'`,
      )
    })
  }

  async download({ s3_url }: Report): Promise<string> {
    const { pathname, search } = new URL(s3_url ?? '')
    const response = await fetch(new URL(pathname + search, this.installation.apiUrl))
    if (response.status !== 200) throw new Error(`GET ${pathname}: ${response.status}`)
    return response.text()
  }

  /** Returns the names of the pieces of a report's file in the store, and the names that its parts should have. */
  async storedParts(id: number): Promise<{ stored: string[]; expected: string[]; uploads: number }> {
    const sql = 'select name from momt_report_parts where report_id = $1 order by name'
    const { rows } = await this.installation.withClient((client) => client.query<{ name: string }>(sql, [id]))
    const folder = join('momt_reports', '1', String(id))
    const keys = Object.keys(this.s3?.objects() ?? {}).filter((key) => key.startsWith(`${folder}/`))
    const stored = this.s3
      ? keys.map((key) => key.slice(folder.length + 1))
      : listIfExists(join(this.#filesDir, folder))
    return { stored: stored.sort(), expected: rows.map(({ name }) => name), uploads: this.s3?.uploads.size ?? 0 }
  }

  async close(): Promise<void> {
    this.installation.destroy()
    this.callbacks.close()
    await this.s3?.close()
    this.#removeFiles()
  }
}

/** Writes a closed broadcast to a list and four texts from phones on each day. */
async function fillLog(client: pg.Client, listId: number): Promise<void> {
  for (let n = 0; n < days; n++) {
    const day = dayOf(n)
    await client.query('select ensure_log_day($1::date)', [day])
    await client.query(
      `with message as (
         insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on, created_at,
                               accepted_at, expanded_at, sent_at, billed_at, reported_at, closed_at)
         select account_id, id, short_code_id, 'broadcast', $1, 'subscribed', 11, 'sent', $2::date, at, at, at, at, at, at, at
           from lists, (select ($2 || 'T09:00:00Z')::timestamptz as at) times where id = $5
         returning id
       ), ranges as (
         insert into message_ranges select id, $3::bigint + 1, $3::bigint + $4::bigint from message
       ), counters as (
         insert into message_counters (message_id, audience, delivered) select id, $4::int, $4::int from message
       )
       insert into message_log (id, logged_on, message_id, phone, state, part_count, parts_delivered)
       select $3::bigint + n, $2::date, id, 2127200000 + n, 'delivered', 11, 2047 from message, generate_series(1, $4::int) n`,
      [content, day, (n + 1) * 16_384, textsPerDay, listId],
    )
    await client.query(
      `insert into inbound_messages (connection_id, short_code, phone, source_addr, content, raw, data_coding, received_at, kind,
                                     interpreted_at)
       select (select min(id) from connections), s.code, 2127200000 + n, '1212', 'Thanks', '', 0, at, 'other', at
         from lists l join short_codes s on s.id = l.short_code_id, generate_series(1, 4) n,
              (select ($1 || 'T10:00:00Z')::timestamptz as at) times
        where l.id = $2`,
      [day, listId],
    )
  }
}
