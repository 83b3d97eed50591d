import { dataCoding, npi, ton } from '../smpp/pdu/flags.ts'
import { encodeParts } from '../sms/parts.ts'
import { toSmppAddress } from '../sms/phone-number.ts'
import { Handsets, sarOf } from './handsets.ts'
import type { Outgoing } from './outgoing.ts'
import type { PendingResponse } from './pending-response.ts'
import { Replies } from './replies.ts'
import type { Settings } from './settings.ts'

/** The texts that virtual handsets send and receive, and their replies. */
export class HandsetTraffic {
  readonly handsets = new Handsets()
  readonly #replies = new Replies()
  readonly #outgoing: Outgoing
  readonly #settings: () => Settings
  #reference = 0

  constructor(outgoing: Outgoing, settings: () => Settings) {
    this.#outgoing = outgoing
    this.#settings = settings
  }

  /** Sends a text of a handset, with one deliver_sm per part. */
  send(phone: number, shortCode: string, content: string): void {
    this.#reference = (this.#reference + 1) & 0xff
    const parts = encodeParts(content, this.#reference)
    this.handsets.recordSent(phone, shortCode, content, parts.length, Date.now())
    for (const part of parts) {
      this.#outgoing.addMo({
        source_addr_ton: ton.international,
        source_addr_npi: npi.isdn,
        source_addr: toSmppAddress(phone),
        destination_addr: shortCode,
        ...part,
      })
    }
  }

  /** Delivers a text to its handset, which may reply. */
  deliver({ pdu, fate, smscId, submittedAt: at }: PendingResponse, text: Buffer): void {
    const { destination_addr, source_addr, esm_class, tlvs } = pdu
    const isLatin1 = pdu.data_coding === dataCoding.smscDefault && this.#settings().charset === 'latin1'
    const data_coding = isLatin1 ? dataCoding.latin1 : pdu.data_coding
    const sar = tlvs === undefined ? undefined : sarOf(tlvs)
    this.handsets.recordReceived({ smscId, destination_addr, source_addr, data_coding, esm_class, text, at, sar })
    const reply = fate.reply && this.#replies.replyTo(pdu, text, fate.reply, at)
    if (reply) this.#outgoing.addReply(reply)
  }

  /** Forgets all texts, and the replies that are not sent yet. */
  clear(): void {
    this.#replies.clear()
    this.handsets.clear()
  }
}
