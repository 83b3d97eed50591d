import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { AggregatorRegistry, Registry } from 'prom-client'
import type { MetricFamily } from '../lib/metric-series.ts'

/** The metrics of a process: families of series, each labeled with the process's role and name. */
export type Snapshot = Array<MetricFamily & { aggregator: 'sum' }>

const snapshotIntervalMs = 4_900 // less than five seconds, because the intervals of heartbeats are about one second

/**
 * The metrics of one process. Components register functions that return families; these run once per snapshot, every five
 * seconds, and never on the send path.
 */
export class Metrics {
  readonly #labels: { role: string; process: string }
  #families: Array<() => MetricFamily> = []
  #snapshotAt = Number.NEGATIVE_INFINITY

  // with a random part, because machines of one image have the same host name, and containers the same process ids
  constructor(role: string, process = `${hostname()}:${globalThis.process.pid}:${randomUUID().slice(0, 8)}`) {
    this.#labels = { role, process }
  }

  register(family: () => MetricFamily): void {
    this.#families.push(family)
  }

  /** The name of the process in the label of each series. */
  get process(): string {
    return this.#labels.process
  }

  /** Returns a snapshot for the heartbeat, at most once in five seconds; otherwise undefined. */
  snapshotIfDue(): Snapshot | undefined {
    const now = performance.now()
    if (now - this.#snapshotAt < snapshotIntervalMs) return undefined
    this.#snapshotAt = now
    return this.snapshot()
  }

  snapshot(): Snapshot {
    return this.#families.map((measure) => {
      const { values, ...family } = measure()
      const labelled = values.map((sample) => ({ ...sample, labels: { ...this.#labels, ...sample.labels } }))
      return { ...family, values: labelled, aggregator: 'sum' as const }
    })
  }
}

/** Registers memory, CPU time and event loop delay of this process, which every role reports. */
export function measureProcess(metrics: Metrics): void {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const started = Date.now() / 1_000
  const register = (name: string, help: string, type: 'gauge' | 'counter', value: () => number) =>
    metrics.register(() => ({ name, help, type, values: [{ labels: {}, value: value() }] }))
  register('carillon_process_start_time_seconds', 'Start of the process, in seconds since 1970', 'gauge', () => started)
  register('carillon_process_resident_memory_bytes', 'Resident memory, including shared pages', 'gauge', () =>
    process.memoryUsage.rss(),
  )
  register('carillon_process_cpu_seconds_total', 'CPU time, user and system', 'counter', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000_000
  })
  register(
    'carillon_process_event_loop_delay_seconds',
    'Longest delay of the event loop since the last snapshot',
    'gauge',
    () => {
      const longest = delay.max / 1e9
      delay.reset()
      return longest
    },
  )
}

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE

/** Returns the snapshots of several processes in the exposition format of Prometheus. */
export function renderMetrics(snapshots: Snapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate(snapshots).metrics()
}
