import { commandStatus as status } from '../smpp/pdu/command-status.ts'
import { messageState } from '../smpp/pdu/flags.ts'
import type { CancelSm, QuerySm, ReplaceSm, RequestPdu } from '../smpp/pdu/pdu.ts'
import { absoluteTime } from '../smpp/pdu/time.ts'
import type { ResponseFields } from '../smpp/session.types.ts'
import type { Handsets } from './handsets.ts'
import type { MessageStates } from './message-states.ts'
import { excerptOf, type OwedReceipt } from './receipts.ts'
import type { Settings } from './settings.ts'
import { hexId, readId } from './smsc-id.ts'

export type MessageOperation = QuerySm | CancelSm | ReplaceSm

export type MessageOperationOptions = {
  states: MessageStates
  handsets: Handsets
  settings(): Settings
  /** Removes and returns the receipts of this message that are not due yet. */
  withdraw(smscId: string): OwedReceipt[]
  /** Returns the receipts of this message that are not due yet. */
  pending(smscId: string): OwedReceipt[]
  /** Adds a receipt that is due immediately. */
  add(receipt: OwedReceipt): void
}

export function isMessageOperation(request: RequestPdu): request is MessageOperation {
  return request.command === 'query_sm' || request.command === 'cancel_sm' || request.command === 'replace_sm'
}

/** Handles query_sm, cancel_sm and replace_sm on submitted messages (§4.8 to §4.10). */
export class MessageOperations {
  readonly #options: MessageOperationOptions

  constructor(options: MessageOperationOptions) {
    this.#options = options
  }

  responseTo(request: MessageOperation, now: number): ResponseFields {
    if (request.command === 'query_sm') return this.#query(request, now)
    if (request.command === 'cancel_sm') return this.#cancel(request, now)
    return this.#replace(request, now)
  }

  #query({ message_id, source_addr }: QuerySm, now: number): ResponseFields {
    const found = this.#options.states.find(this.#readId(message_id), source_addr, now)
    if (!found) return { command_status: status.ESME_RQUERYFAIL, message_id }
    return {
      message_id,
      final_date: found.finalAt === undefined ? '' : absoluteTime(found.finalAt),
      message_state: found.state,
    }
  }

  /** Cancels one message, or, without an id, all pending messages between these addresses. */
  #cancel({ message_id, source_addr, destination_addr }: CancelSm, now: number): ResponseFields {
    const { states } = this.#options
    const id = this.#readId(message_id)
    const ids = message_id === '' ? states.pendingBetween(source_addr, destination_addr, now) : [id]
    if (ids.length === 0 || !ids.every((one) => states.isPending(one, source_addr, now))) {
      return { command_status: status.ESME_RCANCELFAIL }
    }
    for (const one of ids) this.#delete(one, now)
    return {}
  }

  #delete(id: number, now: number) {
    const { states, handsets, withdraw, add } = this.#options
    const smscId = hexId(id)
    states.end(id, messageState.DELETED, now)
    handsets.withdraw(smscId)
    for (const receipt of withdraw(smscId)) add({ ...receipt, outcome: 'deleted', isUnrequested: false })
  }

  /** Replaces the text in its data_coding, because replace_sm has no data_coding. */
  #replace({ message_id, source_addr, short_message }: ReplaceSm, now: number): ResponseFields {
    const { states, handsets, pending } = this.#options
    const id = this.#readId(message_id)
    if (!states.isPending(id, source_addr, now)) return { command_status: status.ESME_RREPLACEFAIL }
    const smscId = hexId(id)
    // a copy, because short_message is a view into the read buffer
    const text = Buffer.from(short_message)
    const { data_coding, esm_class } = handsets.replace(smscId, text) ?? { data_coding: 0, esm_class: 0 }
    for (const receipt of pending(smscId)) receipt.excerpt = excerptOf(text, data_coding, esm_class)
    return {}
  }

  #readId(message_id: string): number {
    return readId(message_id, this.#options.settings().idForm)
  }
}
