import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { Connector } from '../smpp/connector.ts'
import type { Done } from '../smpp/in-flight.ts'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import type { DeliverSm, RequestPdu, ResponsePdu, SubmitSm } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { Rate } from './rate.ts'

export type BindsEvents = {
  /** A slot or a bind came free: there may be something to send. */
  onFree(): void
  onDeliver(session: Session, pdu: DeliverSm): void
  /** The response to a submit_sm came after its deadline. */
  onLate(request: SubmitSm, response: ResponsePdu): void
}

/**
 * All binds of one connection as one window: slots are reserved before rows are marked, so that a marked row always
 * finds a place to go.
 */
export class Binds {
  readonly #connectors: Connector[] = []
  readonly #sessions = new Set<Session>()
  readonly #rate: Rate
  #reserved = 0

  constructor(smpp: NonNullable<Config['smpp']>, responseDeadlineMs: number, log: Logger, events: BindsEvents) {
    this.#rate = new Rate(smpp.mps)
    for (let n = 0; n < (smpp.binds ?? 1); n++) {
      const connector = new Connector({
        host: smpp.host,
        port: smpp.port,
        tls: smpp.tls,
        system_id: smpp.systemId,
        password: smpp.password.reveal(),
        bind: 'transceiver',
        window: smpp.window ?? 10,
        responseDeadlineMs,
      })
      connector.on('bound', (session) => {
        log.info({ bind: n }, 'bound')
        this.#sessions.add(session)
        session.on('drain', events.onFree)
        session.on('request', (pdu: RequestPdu) => {
          if (pdu.command === 'deliver_sm') events.onDeliver(session, pdu)
          // left without an answer it would take a slot of the carrier's window for good
          else session.respond(pdu, { command_status: commandStatus.ESME_RINVCMDID })
        })
        session.on('late', (request, response) => {
          if (request.command === 'submit_sm') events.onLate(request, response)
        })
        session.on('close', () => this.#sessions.delete(session))
        events.onFree()
      })
      connector.on('lost', (reason) => log.warn({ bind: n, reason }, 'bind lost'))
      this.#connectors.push(connector)
    }
  }

  start(): void {
    for (const connector of this.#connectors) connector.start()
  }

  /** Unbinds in order; what is in flight gets its time to be answered. */
  async stop(): Promise<void> {
    await Promise.all(this.#connectors.map((connector) => connector.stop()))
  }

  get bound(): number {
    return this.#sessions.size
  }

  /** All slots there are, free or not. */
  get window(): number {
    let slots = 0
    for (const session of this.#sessions) slots += session.window
    return slots
  }

  /** Slots that can ever be free at once, within the window and the rate. */
  get capacity(): number {
    return Math.min(this.window, this.#rate.mps)
  }

  /** Slots that can be reserved now, within the window and the rate. */
  free(): number {
    let slots = -this.#reserved
    for (const session of this.#sessions) slots += session.free
    return Math.max(0, Math.min(slots, this.#rate.free(performance.now())))
  }

  reserve(slots: number): void {
    this.#reserved += slots
    this.#rate.reserve(slots)
  }

  release(slots: number): void {
    this.#reserved -= slots
    this.#rate.release(slots)
  }

  /** The bind with the emptiest window, for all parts of a text to go the same way, in order. */
  emptiest(): Session | undefined {
    let best: Session | undefined
    let bestFree = 0
    for (const session of this.#sessions) {
      if (session.free > bestFree) {
        best = session
        bestFree = session.free
      }
    }
    return best
  }

  /** Writes into a reserved slot, of this bind if it has one free; false, and nothing written, when none has. */
  submit(pdu: SubmitSm, preferred: Session | undefined, done: Done): boolean {
    const session = preferred && preferred.free > 0 ? preferred : this.emptiest()
    if (!session) return false
    this.#reserved--
    this.#rate.use(performance.now())
    session.request(pdu, done)
    return true
  }
}
