import { listStillAllowed } from '../../log/partial-sends.queries.ts'
import type { Runtime } from '../../runtime.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { CapSet } from '../caps/caps.ts'
import { timing } from '../timing.ts'
import type { OutgoingText } from './outgoing-text.ts'
import type { WaitingRest, WaitingRoom } from './waiting-room.ts'

const { consentFreshMs, partialSendMaxMs } = timing

export type PartialSendsOptions = Pick<Runtime, 'db' | 'clock' | 'log'> & {
  room: WaitingRoom
  /** Window slots and tokens are reserved for this part. */
  write(text: OutgoingText, part: number): void
  /** The rest of this text must not be written any more. */
  onAbandon(text: OutgoingText): void
  /** Another rest may be written now. */
  onChange(): void
}

/**
 * Continues the texts that the carrier has in part. They cannot be queued again, so no mark checks consent a second time for
 * their other parts; this does.
 */
export class PartialSends {
  readonly #options: PartialSendsOptions

  constructor(options: PartialSendsOptions) {
    this.#options = options
  }

  /**
   * Writes what there is room for. Returns the bind groups with too few window slots and the caps with too few tokens for the
   * rest; `onTokens` is called with the time at which caps will have some.
   */
  resume(now: number, onTokens: (at: number) => void): Set<BindGroup | CapSet> {
    const full = new Set<BindGroup | CapSet>()
    const rests = this.#options.room.takeRests()
    if (rests.length === 0) return full
    const unchecked: WaitingRest[] = []
    for (const rest of rests) {
      const { text, since } = rest
      const isOver = !text.group.canTransmit && now - since > partialSendMaxMs
      if (isOver || !text.leased.mayContinue(now)) this.#options.onAbandon(text)
      else if (now - text.allowedAt >= consentFreshMs) unchecked.push(rest)
      else this.#resumeText(rest, now, full, onTokens)
    }
    for (const texts of Map.groupBy(unchecked, ({ text }) => text.leased).values()) void this.#check(texts)
    return full
  }

  #resumeText(rest: WaitingRest, now: number, full: Set<BindGroup | CapSet>, onTokens: (at: number) => void): void {
    const { text } = rest
    const { group, leased, recipient, state } = text
    if (state.name !== 'partial') return
    const { pending } = state
    // none of its tokens is reserved, so the caps may be those of today
    text.caps = group.capsFor(leased.chunk.shortCodeId, group.carrierOf(recipient))
    const [slots, tokens] = [group.windowSlots.free(), text.caps.free(now)]
    if (slots < pending.length) full.add(group)
    if (tokens < pending.length) {
      full.add(text.caps)
      text.caps.reportShortage(now, pending.length)
      onTokens(text.caps.freeAt(now, 1))
    }
    const room = Math.min(slots, tokens, pending.length)
    if (room === 0) {
      this.#options.room.putBack(rest)
      return
    }
    group.reserve(room, text.caps)
    text.bind = undefined
    text.validity = text.encoder.validityAt(this.#options.clock.now())
    text.apply({ kind: 'resumed', count: room })
    for (const part of pending.slice(0, room)) this.#options.write(text, part)
  }

  async #check(rests: WaitingRest[]): Promise<void> {
    const { db, clock, log, room, onAbandon, onChange } = this.#options
    const asked = performance.now()
    const chunk = rests[0]?.text.leased.chunk
    if (!chunk) return
    try {
      const recipients = rests.map(({ text }) => text.recipient)
      const allowed = new Set(await listStillAllowed(db, chunk, recipients, clock.now()))
      for (const rest of rests) {
        const { text } = rest
        if (allowed.has(text.recipient.id)) {
          text.allowedAt = asked
          room.putBack(rest)
        } else onAbandon(text)
      }
      onChange()
    } catch (error) {
      log.warn({ err: error, chunk: chunk.id }, 'failed to check consent for further parts, retrying')
      for (const rest of rests) room.putBack(rest, consentFreshMs)
    }
  }
}
