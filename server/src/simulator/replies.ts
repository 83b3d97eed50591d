import type { SubmitSm } from '../smpp/pdu/pdu.ts'
import { decodeShortMessage } from '../sms/parts.ts'
import { fromSmppAddress } from '../sms/phone-number.ts'
import { sarOf } from './handsets.ts'

/** A text that a handset sends on its own. */
export type Reply = { kind: 'reply'; phone: number; shortCode: string; content: string; delayMs: number }

const REPLY_AFTER_MS = 1_000
/** Time after a reply within which the next text is its confirmation. */
const CONFIRMATION_WITHIN_MS = 10_000
const MAX_AWAITING = 10_000

/**
 * Decides whether a handset replies: once per text, to its last part, and not to the confirmation of its own reply, or a STOP
 * and its confirmation would alternate endlessly.
 */
export class Replies {
  readonly #awaiting = new Map<string, number>()

  replyTo(pdu: SubmitSm, text: Buffer, content: string, now: number): Reply | undefined {
    const phone = fromSmppAddress(pdu.destination_addr)
    if (phone === undefined) return undefined
    const { concat = sarOf(pdu.tlvs) } = decodeShortMessage(text, pdu.data_coding, pdu.esm_class)
    if (concat && concat.sequence < concat.total) return undefined
    const shortCode = pdu.source_addr
    const key = `${phone} ${shortCode}`
    const repliedAt = this.#awaiting.get(key)
    this.#awaiting.delete(key)
    if (repliedAt !== undefined && now - repliedAt < REPLY_AFTER_MS + CONFIRMATION_WITHIN_MS) return undefined
    this.#awaiting.set(key, now)
    if (this.#awaiting.size > MAX_AWAITING) {
      for (const oldest of this.#awaiting.keys()) {
        this.#awaiting.delete(oldest)
        break
      }
    }
    return { kind: 'reply', phone, shortCode, content, delayMs: REPLY_AFTER_MS }
  }

  clear(): void {
    this.#awaiting.clear()
  }
}
