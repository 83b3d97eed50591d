import { listStillAllowed } from '../../log/partial-sends.queries.ts'
import type { Runtime } from '../../runtime.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { CapSet } from '../caps/caps.ts'
import { timing } from '../timing.ts'
import type { OutgoingText } from './outgoing-text.ts'
import type { RemainingParts, WaitingRoom } from './waiting-room.ts'

const { consentFreshMs, partialSendMaxMs } = timing

export type PartialSendsOptions = Pick<Runtime, 'db' | 'clock' | 'log'> & {
  room: WaitingRoom
  /** Writes a part for which a window slot and tokens are reserved. */
  write(text: OutgoingText, part: number): void
  /** The remaining parts of this text must not be written. */
  onAbandon(text: OutgoingText): void
  /** Remaining parts can be written after their consent check. */
  onChange(): void
}

/**
 * Continues texts of which some parts were sent. Such a text cannot be requeued, so no mark checks consent again before its
 * remaining parts; this class does.
 */
export class PartialSends {
  readonly #options: PartialSendsOptions

  constructor(options: PartialSendsOptions) {
    this.#options = options
  }

  /**
   * Writes as many remaining parts as there are free window slots and tokens. Returns the bind groups with too few window slots
   * and the caps with too few tokens; `onTokens` is called with the time at which tokens become free.
   */
  resume(now: number, onTokens: (at: number) => void): Set<BindGroup | CapSet> {
    const full = new Set<BindGroup | CapSet>()
    const allRemaining = this.#options.room.takeRemaining()
    if (allRemaining.length === 0) return full
    const unchecked: RemainingParts[] = []
    for (const remaining of allRemaining) {
      const { text, since } = remaining
      const isTooLate = !text.group.canTransmit && now - since > partialSendMaxMs
      if (isTooLate || !text.leased.mayContinue(now)) this.#options.onAbandon(text)
      else if (now - text.allowedAt >= consentFreshMs) unchecked.push(remaining)
      else this.#resumeText(remaining, now, full, onTokens)
    }
    for (const texts of Map.groupBy(unchecked, ({ text }) => text.leased).values()) void this.#checkConsent(texts)
    return full
  }

  #resumeText(
    remaining: RemainingParts,
    now: number,
    full: Set<BindGroup | CapSet>,
    onTokens: (at: number) => void,
  ): void {
    const { text } = remaining
    const { group, leased, recipient, state } = text
    if (state.name !== 'partial') return
    const { pending } = state
    // no token is reserved, so the text can switch to the current caps
    text.caps = group.capsFor(leased.chunk.shortCodeId, group.carrierOf(recipient))
    const [slots, tokens] = [group.windowSlots.free(), text.caps.free(now)]
    if (slots < pending.length) full.add(group)
    if (tokens < pending.length) {
      full.add(text.caps)
      text.caps.reportShortage(now, pending.length)
      onTokens(text.caps.freeAt(now, 1))
    }
    const count = Math.min(slots, tokens, pending.length)
    if (count === 0) {
      this.#options.room.putBack(remaining)
      return
    }
    group.reserve(count, text.caps)
    // its bind stays the preferred one: some SMSCs join only the parts of one bind
    text.validity = text.encoder.validityAt(this.#options.clock.now())
    text.apply({ kind: 'resumed', count })
    for (const part of pending.slice(0, count)) this.#options.write(text, part)
  }

  /** Checks consent, cancel and deadlines for texts of one chunk, and abandons those that may not be continued. */
  async #checkConsent(ofChunk: RemainingParts[]): Promise<void> {
    const { db, clock, log, room, onAbandon, onChange } = this.#options
    const startedAt = performance.now()
    const chunk = ofChunk[0]?.text.leased.chunk
    if (!chunk) return
    try {
      const recipients = ofChunk.map(({ text }) => text.recipient)
      const allowed = new Set(await listStillAllowed(db, chunk, recipients, clock.now()))
      for (const remaining of ofChunk) {
        const { text } = remaining
        if (allowed.has(text.recipient.id)) {
          text.allowedAt = startedAt
          room.putBack(remaining)
        } else onAbandon(text)
      }
      onChange()
    } catch (error) {
      log.warn({ err: error, chunk: chunk.id }, 'failed to check consent for further parts, retrying')
      for (const remaining of ofChunk) room.putBack(remaining, consentFreshMs)
    }
  }
}
