import type { Logger } from 'pino'
import { bindOptions, bindsOf } from '../../connections/bind-options.ts'
import type { Connection } from '../../connections/connection.ts'
import { Connector } from '../../smpp/connector.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import type { DataSm, DeliverSm, RequestPdu, ResponsePdu, SubmitSm } from '../../smpp/pdu/pdu.ts'
import type { Session } from '../../smpp/session.ts'
import { timing } from '../timing.ts'

const { staleWriteMs } = timing

export type SlotBindEvents = {
  /** A window slot came free, or the bind itself. */
  onFree(): void
  /** It is bound now, or no longer. */
  onChange(): void
  onDeliver(session: Session, pdu: DeliverSm | DataSm): void
  /** The response to a submit_sm came after its deadline. */
  onLate(request: SubmitSm, response: ResponsePdu): void
}

/** One bind slot that is ours: keeps its bind alive, or both binds of a pair. */
export class SlotBind {
  readonly slot: number
  /** Up to this time (monotonic milliseconds) the slot is surely ours. */
  leaseUntil: number
  /** The session that takes submit_sm; undefined unless the whole slot is bound. */
  transmitting: Session | undefined
  bound = false
  /** When it was last bound, or became ours. */
  lastBoundAt = performance.now()
  /** The last reason why it is not bound, of the other side or the network. */
  lastError: string | null = null
  #leaving = false
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
    this.#connectors = bindsOf[connection.bindType].map((bind) => {
      const connector = new Connector({
        ...bindOptions(connection),
        bind,
        window: connection.window,
        responseDeadlineMs,
        enquireLinkMs: connection.enquireLinkS * 1_000,
        staleMs: staleWriteMs,
      })
      const about = { connection: connection.name, slot: this.slot, bind }
      connector.on('bound', (session) => {
        log.info(about, 'bound')
        session.on('drain', events.onFree)
        session.on('request', (pdu: RequestPdu) => {
          if (pdu.command === 'deliver_sm' || pdu.command === 'data_sm') events.onDeliver(session, pdu)
          // without a response it would take a slot of the carrier's window for good
          else session.respond(pdu, { command_status: commandStatus.ESME_RINVCMDID })
        })
        session.on('late', (request, response) => {
          if (request.command === 'submit_sm') events.onLate(request, response)
        })
        this.#look(null, events)
      })
      connector.on('lost', (reason) => {
        log.warn({ ...about, reason }, 'bind lost')
        this.#look(reason, events)
      })
      connector.on('failed', (error) => {
        log.debug({ ...about, err: error }, 'failed to bind, retrying')
        this.lastError = error.message
      })
      return connector
    })
  }

  start(): void {
    for (const connector of this.#connectors) connector.start()
  }

  /** Takes no more submit_sm, and unbinds when those in flight have their responses. */
  async leave(): Promise<void> {
    this.#leaving = true
    this.transmitting = undefined
    await Promise.all(this.#connectors.map((connector) => connector.stop()))
  }

  /** Ends its sessions at once: the bind slot is another gateway's. */
  async abandon(): Promise<void> {
    this.#leaving = true
    this.transmitting = undefined
    const sessions = this.#connectors.map((connector) => connector.session)
    const stopped = this.#connectors.map((connector) => connector.stop())
    for (const session of sessions) session?.destroy('the slot is no longer ours')
    await Promise.all(stopped)
  }

  /** Applies settings that need no new bind; `responseDeadlineMs` is for requests from now on. */
  applySettings(settings: { window: number; responseDeadlineMs: number; enquireLinkMs: number }): void {
    for (const connector of this.#connectors) connector.applySettings(settings)
  }

  #look(error: string | null, events: SlotBindEvents): void {
    const sessions = this.#connectors.map((connector) => connector.session)
    const was = this.bound
    this.bound = sessions.every((session) => session !== undefined)
    if (this.bound || was) this.lastBoundAt = performance.now()
    this.lastError = this.bound ? null : (error ?? this.lastError)
    const transmits = this.bound && !this.#leaving
    this.transmitting = transmits ? sessions.find((session) => session?.state !== 'bound_rx') : undefined
    if (this.bound !== was) events.onChange()
    if (this.bound) events.onFree()
  }
}
