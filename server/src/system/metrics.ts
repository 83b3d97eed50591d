import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { AggregatorRegistry, Registry } from 'prom-client'
import type { MetricFamily } from '../lib/metric-series.ts'

/** What a process tells of itself: families of series, each with the process's role and name. */
export type Snapshot = Array<MetricFamily & { aggregator: 'sum' }>

const tellEveryMs = 4_900 // heartbeats come each second, and not to the millisecond

/**
 * The measures of one process. Whoever counts something hands over a function that answers the family; it is called
 * when somebody asks, every few seconds. Nothing here costs anything while texts are sent.
 */
export class Metrics {
  readonly #labels: { role: string; process: string }
  #families: Array<() => MetricFamily> = []
  #toldAt = Number.NEGATIVE_INFINITY

  // machines that were made of one image have one name, and processes in containers one number
  constructor(role: string, process = `${hostname()}:${globalThis.process.pid}:${randomUUID().slice(0, 8)}`) {
    this.#labels = { role, process }
  }

  register(family: () => MetricFamily): void {
    this.#families.push(family)
  }

  /** Whose measures these are, as the label of each series says. */
  get process(): string {
    return this.#labels.process
  }

  /** What goes along with a heartbeat: all measures once in five seconds, which is often enough for who scrapes them. */
  news(): Snapshot | undefined {
    const now = performance.now()
    if (now - this.#toldAt < tellEveryMs) return undefined
    this.#toldAt = now
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

/** Memory, processor time and the event loop's delay of this process, as every role tells them. */
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
    'Longest delay of the event loop since it was last asked',
    'gauge',
    () => {
      const longest = delay.max / 1e9
      delay.reset()
      return longest
    },
  )
}

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE

/** The snapshots of several processes as one text in Prometheus' exposition format. */
export function renderMetrics(snapshots: Snapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate(snapshots).metrics()
}
