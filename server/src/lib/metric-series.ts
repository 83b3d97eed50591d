// Metrics that are updated many thousand times per second, so they are plain objects that are formatted only when read.

/** One series of a family: its labels, its value, and its name if it differs from the family's. */
export type MetricSample = { labels: Record<string, string>; value: number; metricName?: string }

/** A family of series in the Prometheus exposition format. */
export type MetricFamily = {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  values: MetricSample[]
}

/** Counts by one or two label values, such as a connection and a status. */
export class LabeledCounter {
  readonly #counts = new Map<string, Map<string, number>>()

  add(first: string, second = '', by = 1): void {
    const counts = this.#counts.get(first) ?? new Map<string, number>()
    this.#counts.set(first, counts)
    counts.set(second, (counts.get(second) ?? 0) + by)
  }

  samples(labels: readonly [string] | readonly [string, string]): MetricSample[] {
    const samples: MetricSample[] = []
    for (const [first, counts] of this.#counts) {
      for (const [second, value] of counts) {
        samples.push({ labels: { [labels[0]]: first, ...(labels[1] ? { [labels[1]]: second } : {}) }, value })
      }
    }
    return samples
  }
}

/** Durations in buckets by upper bound (seconds), for each value of a label. */
export class Histogram {
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, { buckets: Float64Array; sum: number }>()

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
  }

  add(labelValue: string, seconds: number): void {
    const series = this.#series.get(labelValue) ?? { buckets: new Float64Array(this.#bounds.length + 1), sum: 0 }
    this.#series.set(labelValue, series)
    let at = 0
    while (at < this.#bounds.length && seconds > (this.#bounds[at] as number)) at++
    series.buckets[at] = (series.buckets[at] as number) + 1
    series.sum += seconds
  }

  samples(name: string, label: string): MetricSample[] {
    const samples: MetricSample[] = []
    for (const [labelValue, { buckets, sum }] of this.#series) {
      let count = 0
      for (const [at, bucket] of buckets.entries()) {
        count += bucket
        const le = at < this.#bounds.length ? String(this.#bounds[at]) : '+Inf'
        samples.push({ metricName: `${name}_bucket`, labels: { [label]: labelValue, le }, value: count })
      }
      samples.push({ metricName: `${name}_sum`, labels: { [label]: labelValue }, value: sum })
      samples.push({ metricName: `${name}_count`, labels: { [label]: labelValue }, value: count })
    }
    return samples
  }
}
