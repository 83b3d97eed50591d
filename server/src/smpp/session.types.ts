// The public types of a session: options, events, response fields and errors.

import type { MonotonicClock } from './deadline-timer.ts'
import type { RejectedDestination } from './pdu/destinations.ts'
import type { RequestPdu, ResponsePdu } from './pdu/pdu.ts'
import type { Tlvs } from './pdu/tlvs.ts'

export type SessionOptions = {
  /** Maximum number of submit_sm, submit_multi, deliver_sm and data_sm without a response. */
  window?: number
  responseDeadlineMs?: number
  /** Silence of the peer after which the session sends enquire_link. */
  enquireLinkMs?: number
  /** Age at which an unwritten request that uses a window slot is stale; then the session closes instead of writing it. */
  staleMs?: number
  clock?: MonotonicClock
}

export type SessionEvents = {
  /** A request that the bind state allows; the listener calls respond(). The session handles enquire_link and unbind. */
  request: [pdu: RequestPdu]
  /** Window slots became free; emitted once per read or tick that freed slots. */
  drain: []
  /** A response after its request's deadline, with the same request object, for the last 4,096 timed-out requests. */
  late: [request: RequestPdu, response: ResponsePdu]
  close: [reason: string]
}

export type ResponseFields = {
  command_status?: number
  message_id?: string
  system_id?: string
  final_date?: string
  message_state?: number
  error_code?: number
  unsuccess_sme?: readonly RejectedDestination[]
  tlvs?: Tlvs
}

/** Thrown by request() when the window has no free slot; callers check `free` first. */
export class WindowFull extends Error {
  override name = 'WindowFull'
}

/** send() received no response before the deadline. */
export class SmppTimeout extends Error {
  override name = 'SmppTimeout'
}

/** The session closed before send() received its response. If `sent` is false, the peer cannot have received the request. */
export class SmppClosed extends Error {
  override name = 'SmppClosed'
  readonly sent: boolean

  constructor(reason: string, sent: boolean) {
    super(`session closed: ${reason}`)
    this.sent = sent
  }
}
