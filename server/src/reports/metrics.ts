import { findAlarms } from '../connections/alarms.ts'
import { countEventsSetAside, maxCountedAside } from '../events/set-aside.queries.ts'
import { utcDay } from '../lib/clock.ts'
import type { MetricFamily } from '../lib/metric-series.ts'
import { countSetAside } from '../log/failures.queries.ts'
import { lanes } from '../messages/messages.ts'
import type { Runtime } from '../runtime.ts'
import type { Snapshot } from '../system/metrics.ts'
import { measureLogDays } from './archive/log-days.queries.ts'
import { countWaitingReceipts, measureBinds, measureLanes, measureOpenMessages } from './queue.queries.ts'

const laneNames = new Map<number, string>(Object.entries(lanes).map(([name, lane]) => [lane, name]))
const laneName = (lane: number) => laneNames.get(lane) ?? String(lane)

/**
 * Returns metrics of state that is only in the database: depth and lag of the queue, open recipients, receipts, binds,
 * alarms, messages and events that are set aside, and the days of the message log.
 */
export async function measureDatabase(rt: Pick<Runtime, 'db' | 'clock'>): Promise<Snapshot> {
  const depth = await measureLanes(rt.db, rt.clock.now())
  const open = await measureOpenMessages(rt.db)
  const waiting = await countWaitingReceipts(rt.db)
  const binds = await measureBinds(rt.db)
  const setAside = await countSetAside(rt.db)
  const eventsAside = await countEventsSetAside(rt.db)
  const alarms = await findAlarms(rt.db, null, rt.clock.now())
  const logDays = await measureLogDays(rt.db, utcDay(rt.clock.now()))
  const families: MetricFamily[] = [
    {
      name: 'carillon_queue_recipients',
      help: 'Queued recipients, by lane: due now, or later (due later, paused, or of a disabled account)',
      type: 'gauge',
      values: depth.flatMap(({ lane, due, later }) => [
        { labels: { lane: laneName(lane), when: 'due' }, value: due },
        { labels: { lane: laneName(lane), when: 'later' }, value: later },
      ]),
    },
    {
      name: 'carillon_queue_lag_seconds',
      help: 'Age of the oldest due chunk, by lane',
      type: 'gauge',
      values: depth.map(({ lane, oldestDueSeconds }) => ({
        labels: { lane: laneName(lane) },
        value: oldestDueSeconds,
      })),
    },
    {
      name: 'carillon_open_recipients',
      help: 'Recipients of messages that are being sent, by kind of message and state',
      type: 'gauge',
      values: open.flatMap(({ kind, ...states }) =>
        Object.entries(states).map(([state, value]) => ({ labels: { kind, state }, value })),
      ),
    },
    {
      name: 'carillon_waiting_receipts',
      help: 'Receipts that do not match a text yet',
      type: 'gauge',
      values: [{ labels: {}, value: waiting }],
    },
    {
      name: 'carillon_binds',
      help: 'Bind slots of enabled connections, by connection and state',
      type: 'gauge',
      values: binds.flatMap(({ connection, bound, unbound }) => [
        { labels: { connection, state: 'bound' }, value: bound },
        { labels: { connection, state: 'unbound' }, value: unbound },
      ]),
    },
    {
      name: 'carillon_set_aside_messages',
      help: 'Messages with work that keeps failing and that a person must act on, by the work',
      type: 'gauge',
      values: setAside.map(({ sweep, count }) => ({ labels: { work: sweep }, value: count })),
    },
    {
      name: 'carillon_set_aside_events',
      help: `Events that cannot be numbered and that a person must act on, by type; at most ${maxCountedAside} are counted`,
      type: 'gauge',
      values: eventsAside.map(({ type, count }) => ({ labels: { type }, value: count })),
    },
    {
      name: 'carillon_log_days',
      help: 'Days of the message log: kept in the database, or archived and removed',
      type: 'gauge',
      values: [
        { labels: { where: 'database' }, value: logDays.kept },
        { labels: { where: 'archive' }, value: logDays.archived },
      ],
    },
    {
      name: 'carillon_log_oldest_day_timestamp_seconds',
      help: 'Begin of the oldest day of the message log that is kept in the database',
      type: 'gauge',
      values: logDays.oldest === null ? [] : [{ labels: {}, value: Date.parse(logDays.oldest) / 1_000 }],
    },
    {
      name: 'carillon_log_archive_failures',
      help: 'Days of the message log that are kept because their archive failed at the last attempt',
      type: 'gauge',
      values: [{ labels: {}, value: logDays.failed }],
    },
    {
      name: 'carillon_alarms',
      help: 'Conditions of enabled connections that a person must act on, by connection and name; 1 while it lasts',
      type: 'gauge',
      values: alarms.map(({ connection, name }) => ({ labels: { connection, name }, value: 1 })),
    },
  ]
  return families.map((family) => ({ ...family, aggregator: 'sum' as const }))
}

/** Returns the metric of the database's availability, which every response has. */
export function databaseUp(isUp: boolean): Snapshot {
  const help = 'Whether the database responded to this scrape'
  const values = [{ labels: {}, value: isUp ? 1 : 0 }]
  return [{ name: 'carillon_database_up', help, type: 'gauge', values, aggregator: 'sum' }]
}
