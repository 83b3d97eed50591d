import type { SubmitSm } from '../smpp/pdu/pdu.ts'
import { decodeShortMessage } from '../sms/parts.ts'
import { fromSmppAddress } from '../sms/phone-number.ts'
import { sarOf } from './handsets.ts'

/** A text that a handset will write by itself. */
export type Reply = { kind: 'reply'; phone: number; shortCode: string; content: string; delayMs: number }

const REPLY_AFTER_MS = 1_000
/** So soon after a reply, the next text is what answers it. */
const CONFIRMATION_WITHIN_MS = 10_000
const KEPT = 10_000

/**
 * When a handset of the replying kind writes back: once per text, to its last part, and not to the text that answers its
 * own reply, or a STOP and its confirmation would go back and forth for ever.
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
    if (this.#awaiting.size > KEPT) {
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
