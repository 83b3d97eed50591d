import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Logger, pino } from 'pino'
import { cancelQueued } from '../src/broadcasts/cancelled.ts'
import { expandOnce } from '../src/broadcasts/expand.ts'
import { reopenClosed, suppressLate } from '../src/broadcasts/reopen.ts'
import { readEnv } from '../src/config/config.ts'
import type { Db } from '../src/db/db.ts'
import { type Gateway, startGateway } from '../src/gateway/gateway.ts'
import { type Clock, systemClock } from '../src/lib/clock.ts'
import { Repeater } from '../src/lib/repeater.ts'
import { finishMessages } from '../src/log/finish.queries.ts'
import { correctPausedFlags } from '../src/log/pause.queries.ts'
import { startDue } from '../src/messages/drafts/drafts.ts'
import { acceptBroadcast } from '../src/messages/messages.ts'
import type { Runtime } from '../src/runtime.ts'
import { readRawFile } from '../src/simulator/raw-file.ts'
import { startSimulator } from '../src/simulator/simulator.ts'
import { freshDatabase } from './database.ts'
import { make } from './make.ts'
import { makeRuntime } from './runtime.ts'
import { waitFor } from './wait-for.ts'

export type Counters = {
  audience: number
  queued: number
  submitting: number
  sent: number
  unknown: number
  delivered: number
  bounced: number
  expired: number
  suppressed: number
  cancelled: number
  cleanCount: number
  unsubscribeCount: number
}

type Options = {
  window?: number
  binds?: number
  mps?: number
  leaseMs?: number
  responseDeadlineMs?: number
  latencyMs?: number
  clock?: Clock
  log?: Logger
  /** Environment variables; those of the send path and the simulator override the other options. */
  env?: Record<string, string>
}

/**
 * Starts the whole send path in this process: a new database, the simulator on TCP, the worker's jobs, and gateways on
 * request. All delays are zero unless an option sets them.
 */
export async function startSending(options: Options = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-sending-'))
  const database = await freshDatabase()
  const log = options.log ?? pino({ level: process.env.TEST_LOG ?? 'silent' })
  const config = readEnv(environmentOf(options, join(folder, 'submits.raw')))
  const simulator = await startSimulator({ config, log })
  const base = makeRuntime({ db: database.db, url: database.url, log, clock: options.clock ?? systemClock })
  const smpp = config.smpp && { ...config.smpp, port: simulator.smppPort }
  // tests may have a shorter lease than installations
  const send = { ...config.send, ...(options.leaseMs && { leaseMs: options.leaseMs }) }
  const rt: Runtime = { ...base, config: { ...config, smpp, send } }
  const { db } = database
  const gateways = new Set<Gateway>()
  const work = [
    () => startDue(rt),
    () => expandOnce(rt),
    () => cancelQueued(rt),
    () => reopenClosed(rt),
    () => suppressLate(rt),
    () => correctPausedFlags(db),
    () => finishMessages(db, rt.clock.now()),
  ]
  const repeaters = work.map((run) => new Repeater(run, 20, () => {}))
  for (const repeater of repeaters) repeater.start()
  const { id: accountId } = await make.account(db)
  const shortCode = await make.shortCode(db, { accountId })
  const list = await make.list(db, {
    accountId,
    shortCodeId: shortCode.id,
    messageStop: 'You are out of the pantry list.',
  })

  const sending = {
    db: db as Db,
    rt,
    list,
    shortCode,

    async startGateway() {
      const gateway = await startGateway(rt)
      gateways.add(gateway)
      return {
        async stop() {
          gateways.delete(gateway)
          await gateway.stop()
        },
      }
    },

    async subscribe(...phones: number[]) {
      for (const phone of phones) await make.subscriber(db, { listId: list.id, phone })
    },

    async broadcast(content = 'The pantry opens at nine.') {
      const { id } = await acceptBroadcast(rt, { accountId, list, content })
      return id
    },

    counters: (messageId: number) => readCounters(db, messageId),

    /** Waits until a message has these counters, then checks that they match its log. */
    async waitForCounters(messageId: number, expected: Partial<Counters>, timeoutMs = 10_000) {
      let last: Counters | undefined
      await waitFor(
        async () => {
          last = await readCounters(db, messageId)
          return Object.entries(expected).every(([key, value]) => last?.[key as keyof Counters] === value)
        },
        { timeoutMs, what: `counters ${JSON.stringify(expected)}` },
      ).catch((error) => {
        throw new Error(`${error.message}; last were ${JSON.stringify(last)}`)
      })
      await checkCounters(db, messageId)
    },

    async states(messageId: number) {
      const rows = await db.many<{ phone: number; state: string; reason: string | null }>(
        'states',
        'select phone, state, reason from message_log where message_id = $1 order by phone',
        [messageId],
      )
      return Object.fromEntries(
        rows.map((row) => [String(row.phone), row.reason ? `${row.state} ${row.reason}` : row.state]),
      )
    },

    raw: () => [...readRawFile(config.simulator.rawFile)],

    async control(method: string, path: string, body?: unknown) {
      const response = await fetch(`http://127.0.0.1:${simulator.controlPort}${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      })
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
      return (await response.json()) as Record<string, unknown>
    },

    /** Sends an MO from a handset to the short code. */
    async sendMo(phone: number, content: string) {
      await sending.control('POST', `/handsets/${phone}/messages`, { to: shortCode.code, content })
    },

    async stop() {
      await Promise.all(repeaters.map((repeater) => repeater.stop()))
      await Promise.all([...gateways].map((gateway) => gateway.stop()))
      await simulator.stop()
      await database.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return sending
}

function environmentOf(options: Options, rawFile: string): Record<string, string> {
  const limits = new URLSearchParams({ window: String(options.window ?? 50), binds: String(options.binds ?? 2) })
  if (options.mps !== undefined) limits.set('mps', String(options.mps))
  return {
    CARILLON_RATE_LIMIT: 'off',
    CARILLON_SECRET_KEY: 'ca'.repeat(32),
    CARILLON_SMPP_URL: `smpp://carillon:swordfish@127.0.0.1?${limits}`,
    CARILLON_SIMULATOR_RAW_FILE: rawFile,
    CARILLON_SIMULATOR_LATENCY_MS: String(options.latencyMs ?? 0),
    CARILLON_SIMULATOR_RECEIPT_DELAY_MS: '0',
    CARILLON_RESPONSE_DEADLINE_MS: String(options.responseDeadlineMs ?? 10_000),
    ...options.env,
  }
}

export async function readCounters(db: Db, messageId: number): Promise<Counters> {
  return db.one<Counters>(
    'read_counters',
    `select audience, queued, submitting, sent, unknown, delivered, bounced, expired, suppressed, cancelled,
            clean_count as "cleanCount", unsubscribe_count as "unsubscribeCount"
       from message_totals where message_id = $1`,
    [messageId],
  )
}

/** Throws unless the message's counters match its log rows in one snapshot (promise B1). */
export async function checkCounters(db: Db, messageId: number): Promise<void> {
  const { fault } = await db.one<{ fault: string | null }>(
    'check_counters',
    `with counted as (
       select count(*) as audience, count(*) filter (where state = 'queued') as queued,
              count(*) filter (where state = 'submitting') as submitting, count(*) filter (where state = 'sent') as sent,
              count(*) filter (where state = 'unknown') as unknown, count(*) filter (where state = 'delivered') as delivered,
              count(*) filter (where state = 'bounced') as bounced, count(*) filter (where state = 'expired') as expired,
              count(*) filter (where state = 'suppressed') as suppressed, count(*) filter (where state = 'cancelled') as cancelled
         from message_log where message_id = $1
     )
     select case when (c.audience, c.queued, c.submitting, c.sent, c.unknown, c.delivered, c.bounced, c.expired, c.suppressed, c.cancelled)
                   is distinct from
                      (l.audience, l.queued, l.submitting, l.sent, l.unknown, l.delivered, l.bounced, l.expired, l.suppressed, l.cancelled)
                 then 'counters ' || row_to_json(c)::text || ' but the log has ' || row_to_json(l)::text end as fault
       from counted l, message_totals c where c.message_id = $1`,
    [messageId],
  )
  if (fault) throw new Error(fault)
}
