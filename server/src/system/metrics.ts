import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { AggregatorRegistry, Registry } from 'prom-client'
import type { MetricFamily } from '../lib/metric-series.ts'

/** The metrics of a process: families of series, each labeled with the process's role and name. */
export type Snapshot = Array<MetricFamily & { aggregator: 'sum' }>

const snapshotEveryMs = 4_900 // less than five seconds, because heartbeats are a second apart, give or take

/**
 * The metrics of one process. A component registers a function that returns its family; it is called for each snapshot,
 * every few seconds. Nothing here runs on the send path.
 */
export class Metrics {
  readonly #labels: { role: string; process: string }
  #families: Array<() => MetricFamily> = []
  #snapshotAt = Number.NEGATIVE_INFINITY

  // machines made from one image share a host name, and processes in containers a process id
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

  /** Returns a snapshot once in five seconds, for the heartbeat; undefined in between. */
  news(): Snapshot | undefined {
    const now = performance.now()
    if (now - this.#snapshotAt < snapshotEveryMs) return undefined
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

/** Registers memory, processor time and event loop delay of this process, as every role reports them. */
export function measureProcess(metrics: Metrics): void {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const started = Date.now() / 1_000
  const one = (name: string, help: string, type: 'gauge' | 'counter', value: () => number) =>
    metrics.register(() => ({ name, help, type, values: [{ labels: {}, value: value() }] }))
  one('carillon_process_start_time_seconds', 'When the process started, in seconds since 1970', 'gauge', () => started)
  one('carillon_process_resident_memory_bytes', 'Resident memory, shared pages included', 'gauge', () =>
    process.memoryUsage.rss(),
  )
  one('carillon_process_cpu_seconds_total', 'Processor time, user and system', 'counter', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000_000
  })
  one(
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

/** Returns the snapshots of several processes as one text in Prometheus' exposition format. */
export function renderMetrics(snapshots: Snapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate(snapshots).metrics()
}
