import type { Logger } from 'pino'
import { bindOptions, bindsOf } from '../../connections/bind-options.ts'
import { carrierLines } from '../../connections/carrier-lines.ts'
import type { Connection } from '../../connections/connection.ts'
import { Connector } from '../../smpp/connector.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import type { DataSm, DeliverSm, RequestPdu, ResponsePdu, SubmitSm } from '../../smpp/pdu/pdu.ts'
import type { Session } from '../../smpp/session.ts'
import { timing } from '../timing.ts'

const { bindAlarmMs, staleWriteMs } = timing

export type SlotBindEvents = {
  /** A window slot became free, or the bind was opened. */
  onFree(): void
  /** The slot became bound or unbound. */
  onChange(): void
  onDeliver(session: Session, pdu: DeliverSm | DataSm): void
  /** The response to a submit_sm arrived after its deadline. */
  onLate(request: SubmitSm, response: ResponsePdu): void
}

/** A bind slot that this gateway leases: opens its bind, or both binds of a pair, and reopens a lost bind. */
export class SlotBind {
  readonly slot: number
  /** End of the lease of the slot (monotonic milliseconds). */
  leaseUntil: number
  /** The session for submit_sm; undefined unless the whole slot is bound. */
  transmitting: Session | undefined
  bound = false
  /** When the slot was last bound, or else leased (monotonic milliseconds). */
  lastBoundAt = performance.now()
  /** The latest error of the SMSC or the network while the slot is not bound. */
  lastError: string | null = null
  #isClosing = false
  readonly #connectors: Connector[]

  constructor(
    connection: Connection,
    slot: { slot: number; leaseUntil: number },
    responseDeadlineMs: number,
    log: Logger,
    events: SlotBindEvents,
  ) {
    this.slot = slot.slot
    this.leaseUntil = slot.leaseUntil
    const lines = carrierLines(log)
    this.#connectors = bindsOf[connection.bindType].map((bind) => {
      const connector = new Connector({
        ...bindOptions(connection),
        bind,
        window: connection.window,
        responseDeadlineMs,
        enquireLinkMs: connection.enquireLinkS * 1_000,
        staleMs: staleWriteMs,
      })
      const logFields = { connection: connection.name, slot: this.slot, bind }
      connector.on('bound', (session) => {
        lines.info(connection.id, logFields, 'bound')
        session.on('drain', events.onFree)
        session.on('request', (pdu: RequestPdu) => {
          if (pdu.command === 'deliver_sm' || pdu.command === 'data_sm') events.onDeliver(session, pdu)
          // without a response, the request would use a slot of the SMSC's window forever
          else session.respond(pdu, { command_status: commandStatus.ESME_RINVCMDID })
        })
        session.on('late', (request, response) => {
          if (request.command === 'submit_sm') events.onLate(request, response)
        })
        this.#update(null, events)
      })
      connector.on('lost', (reason) => {
        lines.warn(connection.id, { ...logFields, reason }, 'bind lost')
        this.#update(reason, events)
      })
      connector.on('failed', (error, retryMs) => {
        log.debug({ ...logFields, err: error }, 'failed to bind, retrying')
        if (retryMs >= bindAlarmMs) log.error({ ...logFields, err: error }, 'SMSC keeps rejecting the bind')
        this.lastError = error.message
      })
      return connector
    })
  }

  start(): void {
    for (const connector of this.#connectors) connector.start()
  }

  /** Accepts no more submit_sm, waits for the responses to those in flight, and unbinds; resolves when the sockets are closed. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.transmitting = undefined
    await Promise.all(this.#connectors.map((connector) => connector.stop()))
  }

  /** Closes the sockets immediately, because another gateway has leased the slot. */
  async destroy(): Promise<void> {
    this.#isClosing = true
    this.transmitting = undefined
    const sessions = this.#connectors.map((connector) => connector.session)
    const stopped = this.#connectors.map((connector) => connector.stop())
    for (const session of sessions) session?.destroy('the bind slot was lost to another gateway')
    await Promise.all(stopped)
  }

  /** Applies settings that do not require a new bind; `responseDeadlineMs` applies to new requests. */
  applySettings(settings: { window: number; responseDeadlineMs: number; enquireLinkMs: number }): void {
    for (const connector of this.#connectors) connector.applySettings(settings)
  }

  /** Derives the state of the slot from the states of its binds. */
  #update(error: string | null, events: SlotBindEvents): void {
    const sessions = this.#connectors.map((connector) => connector.session)
    const wasBound = this.bound
    this.bound = sessions.every((session) => session !== undefined)
    if (this.bound || wasBound) this.lastBoundAt = performance.now()
    this.lastError = this.bound ? null : (error ?? this.lastError)
    const canTransmit = this.bound && !this.#isClosing
    this.transmitting = canTransmit ? sessions.find((session) => session?.state !== 'bound_rx') : undefined
    if (this.bound !== wasBound) events.onChange()
    if (this.bound) events.onFree()
  }
}
