import type { SubmitSm } from '../smpp/pdu/pdu.ts'
import { decodeShortMessage } from '../sms/parts.ts'
import { fromSmppAddress } from '../sms/phone-number.ts'
import { sarOf } from './handsets.ts'

/** A text that a handset sends automatically. */
export type Reply = { kind: 'reply'; phone: number; shortCode: string; content: string; delayMs: number }

const REPLY_AFTER_MS = 1_000
/** Maximum time after a reply in which the next text is the confirmation of the reply. */
const CONFIRMATION_WITHIN_MS = 10_000
const MAX_REPLIES = 10_000

/**
 * Decides whether a handset replies: once per text, to its last part, and not to the confirmation of its own reply;
 * otherwise a STOP and its confirmation would alternate endlessly.
 */
export class Replies {
  readonly #repliedAt = new Map<string, number>()

  /** Returns the handset's reply to a part, or undefined if it does not reply. */
  replyTo(pdu: SubmitSm, text: Buffer, content: string, now: number): Reply | undefined {
    const phone = fromSmppAddress(pdu.destination_addr)
    if (phone === undefined) return undefined
    const { concat = sarOf(pdu.tlvs) } = decodeShortMessage(text, pdu.data_coding, pdu.esm_class)
    if (concat && concat.sequence < concat.total) return undefined
    const shortCode = pdu.source_addr
    const key = `${phone} ${shortCode}`
    const repliedAt = this.#repliedAt.get(key)
    this.#repliedAt.delete(key)
    if (repliedAt !== undefined && now - repliedAt < REPLY_AFTER_MS + CONFIRMATION_WITHIN_MS) return undefined
    this.#repliedAt.set(key, now)
    if (this.#repliedAt.size > MAX_REPLIES) {
      for (const oldest of this.#repliedAt.keys()) {
        this.#repliedAt.delete(oldest)
        break
      }
    }
    return { kind: 'reply', phone, shortCode, content, delayMs: REPLY_AFTER_MS }
  }

  clear(): void {
    this.#repliedAt.clear()
  }
}
