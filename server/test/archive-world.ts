import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterEach, beforeEach, expect } from 'vitest'
import { expandOnce } from '../src/broadcasts/expand.ts'
import { type Config, readEnv } from '../src/config/config.ts'
import { fileStoreOf } from '../src/files/installed-store.ts'
import { states } from '../src/log/transitions.ts'
import { acceptBroadcast, sendToNumbers } from '../src/messages/messages.ts'
import { findManifest } from '../src/reports/archive/archives.queries.ts'
import type { Manifest } from '../src/reports/archive/manifest.ts'
import { type RemovalOptions, removalOptions, removeOldDays } from '../src/reports/archive/remove-days.ts'
import type { Runtime } from '../src/runtime.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { make } from './make.ts'
import { makeRuntime } from './runtime.ts'

export const firstPhone = 2_065_550_100
export const oldDay = '2031-03-02'
export const nextDay = '2031-03-03'

/** A database with two days of closed messages of two accounts, and the retention of the log. */
export function useArchives(env: Record<string, string> = {}, settings: Partial<Config> = {}) {
  const clock = { time: new Date(0), now: () => clock.time }
  let database: TestDatabase
  let statements = 0
  const lines: Record<string, unknown>[] = []

  const world = {
    clock,
    /** Lines that were logged as warnings or errors. */
    lines,
    rt: undefined as unknown as Runtime,
    filesDir: '',
    owner: { accountId: 0, listId: 0, shortCodeId: 0 },
    stranger: { accountId: 0, listId: 0, shortCodeId: 0 },
    get db() {
      return database.db
    },
    get url() {
      return database.url
    },

    change: (sql: string, values: unknown[] = []) => database.db.exec(`change_${++statements}`, sql, values),
    read: <T>(sql: string, values: unknown[] = []) => database.db.many<T>(`read_${++statements}`, sql, values),

    /** Sends texts of both accounts on a day, in all final states, and closes their messages. */
    async fillDay(day: string) {
      clock.time = new Date(`${day}T18:00:00Z`)
      const ids: number[] = []
      for (const { accountId, listId, shortCodeId } of [world.owner, world.stranger]) {
        const list = { id: listId, shortCodeId }
        const message = { accountId, list, content: 'The pantry opens at nine.' }
        ids.push((await acceptBroadcast(world.rt, message)).id)
        clock.time = new Date(clock.time.getTime() + 60_000)
        ids.push((await acceptBroadcast(world.rt, { ...message, content: '=cmd() "quoted", 日本\r\n' })).id)
        for (let n = 0; n < 3; n++) {
          clock.time = new Date(clock.time.getTime() + 1_000)
          const phones = [firstPhone + n]
          const text = { accountId, listId: null, shortCodeId, phones, content: `Code ${n}`, field: 'number' }
          ids.push((await sendToNumbers(world.rt, text)).id)
        }
      }
      while (await expandOnce(world.rt)) {}
      await world.closeDay(day)
      return ids
    },

    /** Gives the texts of a day their final states, and closes its messages as `closeMessage` does. */
    async closeDay(day: string) {
      const final = ['delivered', 'bounced', 'expired', 'suppressed', 'cancelled', 'unknown', 'delivered']
      await world.change(
        `update message_log l
            set state = ($2::message_state[])[1 + l.id % 7], submitted_at = $3::timestamptz + l.id % 1000 * interval '1 microsecond',
                closed_at = $3::timestamptz + interval '2 seconds', reason = case when l.id % 7 in (1, 3) then 'hard' end,
                carrier_status = case when l.id % 7 = 1 then 'UNDELIV err:001' end, parts_delivered = 1
          where logged_on = $1`,
        [day, final, clock.time],
      )
      await world.change(
        `with gone as (delete from send_chunks c using messages m
                        where m.id = c.message_id and c.logged_on = $1 returning c.*, m.phone as one)
         insert into message_ranges select message_id, min(first_log_id), max(last_log_id) from gone where one is null group by 1`,
        [day],
      )
      await world.change(
        `update messages set status = 'sent', sent_at = $2, closed_at = $2, billed_at = $2, reported_at = $2, report_at = null,
                             received_through = 9007199254740991
          where logged_on = $1`,
        [day, clock.time],
      )
      await world.change(
        'delete from message_counters where message_id in (select id from messages where logged_on = $1)',
        [day],
      )
      const counts = states.map((state) => `count(*) filter (where state = '${state}')`)
      await world.change(
        `insert into message_counters (message_id, audience, ${states.join(', ')})
         select message_id, count(*), ${counts.join(', ')} from message_log where logged_on = $1 group by message_id`,
        [day],
      )
    },

    /** Removes old days, as the job does; the sizes are so small that a day has several files. */
    remove(given: Partial<Runtime> = {}, options: Partial<RemovalOptions> = {}) {
      const small = { ...removalOptions, fileRows: 50, groupRows: 20, ...options }
      return removeOldDays({ ...world.rt, ...given }, new AbortController().signal, small)
    },

    /** The state of a day's archive; `kept` without one. */
    async state(day = oldDay): Promise<string> {
      const [found] = await world.read<{ state: string }>('select state from log_archives where day = $1', [day])
      return found?.state ?? 'kept'
    },

    /** The names of the tables of a day. */
    async tables(day = oldDay): Promise<string[]> {
      const rows = await world.read<{ name: string }>(
        `select relname as name from pg_class where relkind = 'r' and relname ~ $1 order by 1`,
        [day.replaceAll('-', '')],
      )
      return rows.map(({ name }) => name)
    },

    /** Runs such a worker as a process of its own, and kills it this long after it has begun, unless it ends before. */
    async killWorker(afterMs: number): Promise<void> {
      const script = fileURLToPath(new URL('archive-child.ts', import.meta.url))
      const args = [script, database.url, world.filesDir, clock.time.toISOString()]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = once(child, 'exit')
      await once(child.stdout, 'data')
      await Promise.race([sleep(afterMs), ended])
      child.kill('SIGKILL')
      await ended
    },

    async manifest(day = oldDay): Promise<Manifest> {
      const found = await findManifest(database.db, day)
      if (!found) throw new Error('no manifest')
      const chunks: Buffer[] = []
      const { folder, ...part } = found
      const bytes = await fileStoreOf(world.rt.config).read(folder, [part], 0, part.bytes - 1)
      for await (const chunk of bytes) chunks.push(chunk as Buffer)
      return JSON.parse(Buffer.concat(chunks).toString()) as Manifest
    },

    /** The files in the directory of files that belong to days. */
    stored: () =>
      readdirSync(join(world.filesDir, 'message_log'), { recursive: true, encoding: 'utf8', withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(world.filesDir.length + 1))
        .sort(),

    /** Makes failed or interrupted work due at once. */
    dueNow: () => world.change('update log_archives set leased_until = null, due_at = started_at'),
  }

  beforeEach(async () => {
    database = await freshDatabase()
    lines.length = 0
    world.filesDir = mkdtempSync(join(tmpdir(), 'carillon-archives-'))
    const given = { CARILLON_FILES_DIR: world.filesDir, CARILLON_MESSAGE_LOG_DAYS: '30', ...env }
    const config = { ...readEnv({ CARILLON_SECRET_KEY: 'ca'.repeat(32), ...given }), ...settings }
    const log = pino({ level: 'warn' }, { write: (line) => void lines.push(JSON.parse(line)) })
    world.rt = { ...makeRuntime({ db: database.db, url: database.url }), config, log, clock }
    for (const who of ['owner', 'stranger'] as const) {
      const { id: accountId } = await make.account(database.db)
      const { id: shortCodeId } = await make.shortCode(database.db, { accountId })
      const { id: listId } = await make.list(database.db, { accountId, shortCodeId })
      world[who] = { accountId, listId, shortCodeId }
      await make.subscribers(database.db, { listId, count: 60, after: firstPhone })
    }
    await world.fillDay(oldDay)
    await world.fillDay(nextDay)
    // the older day only is older than 30 days
    clock.time = new Date('2031-04-02T12:00:00Z')
    expect(await world.tables()).toHaveLength(2)
  })
  afterEach(async () => {
    await database.close()
    rmSync(world.filesDir, { recursive: true, force: true })
  })
  return world
}
