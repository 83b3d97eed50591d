// The three commands that submit a text, each converted to submit_sm for the rest of the simulator.

import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import type { RejectedDestination } from '../smpp/pdu/destinations.ts'
import { type DataSm, type RequestPdu, type SubmitMulti, type SubmitSm, submitSm } from '../smpp/pdu/pdu.ts'
import { relativeTime } from '../smpp/pdu/time.ts'
import type { Session } from '../smpp/session.ts'
import type { ResponseFields } from '../smpp/session.types.ts'

export type Submission = SubmitSm | DataSm | SubmitMulti

const noText = Buffer.alloc(0)

export function isSubmission(request: RequestPdu): request is Submission {
  return request.command === 'submit_sm' || request.command === 'data_sm' || request.command === 'submit_multi'
}

/** Converts a data_sm: its message_payload is the text, its qos_time_to_live (§5.3.2.9) the validity period. */
export function fromDataSm({ command: _, ...pdu }: DataSm): SubmitSm {
  const lifeS = pdu.tlvs?.qos_time_to_live
  const validity_period = lifeS ? relativeTime(lifeS * 1_000) : ''
  return submitSm({ ...pdu, validity_period, short_message: pdu.tlvs?.message_payload ?? noText })
}

/** Converts a submit_multi to one submit_sm per handset; undefined if a destination is a distribution list. */
export function fromSubmitMulti({ command: _, dest_address, ...pdu }: SubmitMulti): SubmitSm[] | undefined {
  const submits: SubmitSm[] = []
  for (const destination of dest_address) {
    if (destination.dest_flag !== 1) return undefined
    submits.push(submitSm({ ...pdu, ...destination }))
  }
  return submits
}

/** Collects the common response to all texts of a submit_multi: the first id and the rejected destinations (§4.5.2). */
export class MultiResponse {
  readonly #session: Session
  readonly #request: SubmitMulti
  readonly #rejected: RejectedDestination[] = []
  #remaining: number
  #messageId: string | undefined
  #lost = false

  constructor(session: Session, request: SubmitMulti, submits: number) {
    this.#session = session
    this.#request = request
    this.#remaining = submits
  }

  /** Adds the response to one text; undefined means that it is lost. The last call sends the common response. */
  add(pdu: SubmitSm, fields: ResponseFields | undefined): void {
    if (!fields) this.#lost = true
    else if (fields.command_status) this.#rejected.push(rejectedDestination(pdu, fields.command_status))
    else this.#messageId ??= fields.message_id
    if (--this.#remaining > 0 || this.#lost) return
    const [first] = this.#rejected
    this.#session.respond(this.#request, {
      command_status: this.#messageId === undefined && first ? first.error_status_code : status.ESME_ROK,
      message_id: this.#messageId ?? '',
      unsuccess_sme: this.#rejected,
    })
  }
}

function rejectedDestination(pdu: SubmitSm, error_status_code: number): RejectedDestination {
  const { dest_addr_ton, dest_addr_npi, destination_addr } = pdu
  return { dest_addr_ton, dest_addr_npi, destination_addr, error_status_code }
}
