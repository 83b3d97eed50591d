import { Histogram, LabeledCounter, type MetricFamily } from '../lib/metric-series.ts'
import { statusName } from '../smpp/pdu/command-status.ts'
import type { Metrics } from '../system/metrics.ts'

/** What a scrape reads of a bind group: its window slots, and how many wait for a response. */
export type BindGroupState = { connection: string; window: number; inFlight: number }

/** Counts what goes over the wire, by connection. On the way of every PDU: an addition in a map, nothing more. */
export class Meter {
  readonly #submits = new LabeledCounter()
  readonly #responses = new LabeledCounter()
  readonly #responseSeconds = new Histogram([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
  readonly #receipts = new LabeledCounter()
  readonly #inbound = new LabeledCounter()

  constructor(metrics: Metrics, groups: () => BindGroupState[]) {
    const counter = (name: string, help: string, values: () => MetricFamily['values']) =>
      metrics.register(() => ({ name, help, type: 'counter', values: values() }))
    const gauge = (name: string, help: string, value: (group: BindGroupState) => number) =>
      metrics.register(() => {
        const values = groups().map((group) => ({ labels: { connection: group.connection }, value: value(group) }))
        return { name, help, type: 'gauge', values }
      })
    counter('carillon_submits_total', 'submit_sm written, parts and retries too', () =>
      this.#submits.samples(['connection']),
    )
    counter(
      'carillon_submit_responses_total',
      'What became of each submit_sm: its command_status, timeout or closed',
      () => this.#responses.samples(['connection', 'status']),
    )
    const seconds = 'carillon_submit_response_seconds'
    metrics.register(() => ({
      name: seconds,
      help: 'Time from a submit_sm to its response',
      type: 'histogram',
      values: this.#responseSeconds.samples(seconds, 'connection'),
    }))
    counter('carillon_receipts_total', 'Receipts, by their state', () =>
      this.#receipts.samples(['connection', 'state']),
    )
    counter('carillon_inbound_total', 'MOs stored', () => this.#inbound.samples(['connection']))
    gauge(
      'carillon_window_size',
      'Window slots of all binds of the connection that this process holds',
      (group) => group.window,
    )
    gauge('carillon_window_used', 'Window slots that wait for a response', (group) => group.inFlight)
  }

  submitted(connection: string): void {
    this.#submits.add(connection)
  }

  responded(connection: string, commandStatus: number, ms: number): void {
    this.#responses.add(connection, statusName(commandStatus))
    this.#responseSeconds.add(connection, ms / 1_000)
  }

  /** No response came: its deadline passed, or its session ended. */
  failed(connection: string, why: 'timeout' | 'closed'): void {
    this.#responses.add(connection, why)
  }

  receipt(connection: string, state: string): void {
    this.#receipts.add(connection, state)
  }

  inbound(connection: string): void {
    this.#inbound.add(connection)
  }
}
