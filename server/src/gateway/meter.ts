import { Histogram, LabeledCounter, type MetricFamily } from '../lib/metric-series.ts'
import { statusName } from '../smpp/pdu/command-status.ts'
import type { Metrics } from '../system/metrics.ts'

/** A bind group's window slots, and how many of them await a response. */
export type BindGroupState = { connection: string; window: number; inFlight: number }

/** Counts PDUs by connection for /metrics. It is called for every PDU, so each call only increments a number in a map. */
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
    counter('carillon_submits_total', 'submit_sm written, including each part and each retry', () =>
      this.#submits.samples(['connection']),
    )
    counter(
      'carillon_submit_responses_total',
      'Outcomes of submit_sm: the command_status of the response, timeout or closed',
      () => this.#responses.samples(['connection', 'status']),
    )
    const seconds = 'carillon_submit_response_seconds'
    metrics.register(() => ({
      name: seconds,
      help: 'Time from a submit_sm to its response',
      type: 'histogram',
      values: this.#responseSeconds.samples(seconds, 'connection'),
    }))
    counter('carillon_receipts_total', 'Receipts by state', () => this.#receipts.samples(['connection', 'state']))
    counter('carillon_inbound_total', 'MOs stored', () => this.#inbound.samples(['connection']))
    gauge(
      'carillon_window_size',
      'Window slots of all binds that this process has at the connection',
      (group) => group.window,
    )
    gauge('carillon_window_used', 'Window slots that await a response', (group) => group.inFlight)
  }

  submitted(connection: string): void {
    this.#submits.add(connection)
  }

  responded(connection: string, commandStatus: number, ms: number): void {
    this.#responses.add(connection, statusName(commandStatus))
    this.#responseSeconds.add(connection, ms / 1_000)
  }

  /** Counts a submit_sm without a response: its deadline passed, or its session ended. */
  failed(connection: string, cause: 'timeout' | 'closed'): void {
    this.#responses.add(connection, cause)
  }

  receipt(connection: string, state: string): void {
    this.#receipts.add(connection, state)
  }

  inbound(connection: string): void {
    this.#inbound.add(connection)
  }
}
