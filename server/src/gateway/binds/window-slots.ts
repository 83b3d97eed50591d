import type { CapSet } from '../caps/caps.ts'
import { CarrierPace } from '../caps/carrier-pace.ts'
import { timing } from '../timing.ts'
import { Urgency } from '../urgency.ts'
import { MarkAhead } from './mark-ahead.ts'

const { deadWindowMs, sparseSlotMs } = timing

/** Share of a window that is reserved for urgent texts while they are likely. */
const urgentShare = 0.1

/** The windows of a group's binds, added up. */
export type BindWindows = {
  /** Window slots of all binds, free or not. */
  readonly window: number
  /** Free window slots of the binds that may be written to at this time. */
  freeAt(now: number): number
}

/**
 * The window slots of a bind group, as one window. Slots are reserved before texts are marked, so that each marked text has a
 * slot. While the carrier throttles, no more slots count as free than its pace allows.
 */
export class WindowSlots {
  readonly #binds: BindWindows
  readonly #pace = new CarrierPace()
  readonly #ahead = new MarkAhead()
  #reserved = 0
  #respondedAt = 0
  readonly #urgency = new Urgency()
  // average time from a PDU to its response
  #latencyMs = 0
  /** Whether the next mark may have fewer texts than usual, because it has waited for slots for `slotBatchMs`. */
  allowsSmallMark = false

  constructor(binds: BindWindows) {
    this.#binds = binds
  }

  /** Maximum number of slots that can be free at one time. */
  get capacity(): number {
    return Math.min(this.#binds.window, Math.floor(this.#pace.burst))
  }

  /**
   * Number of slots that broadcasts must leave free at this time. Usually slots become free often enough, and urgent texts get
   * the first one. Some slots are reserved for them if slots become free rarely, or shortly after an urgent text.
   */
  urgentReserve(now: number): number {
    const { window } = this.#binds
    if (window <= 1) return 0
    const isSparse = this.#latencyMs / window > sparseSlotMs
    return isSparse || this.#urgency.isRecent(now) ? urgentSlotsOf(window) : 0
  }

  /** Notes that an urgent text is marked for this group. */
  noteUrgent(now: number): void {
    this.#urgency.note(now)
  }

  /** Number of slots that can be reserved now for texts that are written immediately. */
  free(): number {
    return this.#freeBut(0, performance.now())
  }

  /**
   * Number of slots that can be reserved now for texts that are not marked yet, without `urgentReserve` slots. It includes slots
   * that become free during the mark and, for urgent texts, some that other texts then have to wait for. It does not consider
   * the number of free tokens.
   */
  freeToMark(caps: CapSet, isUrgent: boolean, urgentReserve: number): number {
    const now = performance.now()
    const isResponding = now - this.#respondedAt < this.#latencyMs
    if (!caps.isUnlimited || this.isThrottled || !isResponding) return this.#freeBut(urgentReserve, now)
    const { window } = this.#binds
    let ahead = this.#ahead.count(window, this.#latencyMs, Math.ceil(this.capacity / 4))
    if (ahead > 0 && isUrgent) ahead += urgentSlotsOf(window)
    return Math.max(0, this.#unreserved(now) + ahead - urgentReserve)
  }

  /** The reserve is kept of the window, not of the pace: a slow pace alone does not keep broadcasts from it. */
  #freeBut(urgentReserve: number, now: number): number {
    return Math.max(0, Math.min(this.#unreserved(now) - urgentReserve, this.#pace.free(now)))
  }

  /** Free slots minus reserved ones; negative while marked texts wait for a slot. */
  #unreserved(now: number): number {
    return this.#binds.freeAt(now) - this.#reserved
  }

  reserve(slots: number): void {
    this.#reserved += slots
    this.#pace.reserve(slots)
  }

  /** Releases reserved slots that were not used. */
  release(slots: number): void {
    this.#reserved -= slots
    this.#pace.release(slots)
  }

  /** Uses a reserved slot for a PDU. */
  use(now: number, isFirstInFlight: boolean): void {
    this.#reserved--
    if (isFirstInFlight) this.#respondedAt = now
  }

  /** Notes the response to a PDU that was written at `writtenAt`. */
  noteResponse(writtenAt: number, now: number, isAccepted: boolean): void {
    this.#respondedAt = now
    this.#latencyMs += (now - writtenAt - this.#latencyMs) / 16
    if (isAccepted) this.#pace.accepted(now)
  }

  /** Notes the duration of a mark. */
  noteMarking(ms: number): void {
    this.#ahead.noteMarking(ms)
  }

  /** Whether a full window is presumed dead, because no response has arrived for `deadWindowMs`. */
  isDead(now: number): boolean {
    return now - this.#respondedAt >= deadWindowMs
  }

  /** Notes that the carrier throttled a text, which limits the group to the pace that the carrier accepts. */
  noteThrottled(): void {
    this.#pace.throttled(performance.now())
  }

  /** Whether the group's pace is limited because the carrier throttled texts. */
  get isThrottled(): boolean {
    return this.#pace.perSecond !== Number.POSITIVE_INFINITY
  }

  /** When the pace allows the next slot; `now` if the pace is not limited. */
  nextAt(now: number): number {
    return this.#pace.freeAt(now)
  }
}

function urgentSlotsOf(window: number): number {
  return Math.max(1, Math.floor(window * urgentShare))
}
