import type { CapSet } from '../caps/caps.ts'
import { CarrierPace } from '../caps/carrier-pace.ts'
import { timing } from '../timing.ts'
import { MarkAhead } from './mark-ahead.ts'

const { deadWindowMs, sparseSlotMs, urgentRecentMs } = timing

/** The part of a window that broadcasts leave to urgent texts where these are likely. */
const urgentShare = 0.1

/** What the binds of a group have at this moment. */
export type BindWindows = {
  /** Window slots of all binds, free or not. */
  readonly window: number
  /** Free window slots of the binds that may be written to at this time. */
  freeAt(now: number): number
}

/**
 * The window slots of a bind group, as one window. Slots are reserved before texts are marked, so that each marked text has
 * one; while the carrier throttles, no more of them are free than its pace allows.
 */
export class WindowSlots {
  readonly #binds: BindWindows
  readonly #pace = new CarrierPace()
  readonly #ahead = new MarkAhead()
  #reserved = 0
  #respondedAt = 0
  #urgentAt = Number.NEGATIVE_INFINITY
  // how long a response takes, on average
  #latencyMs = 0
  /** Too few slots for a full mark have waited long enough for more. */
  isImpatient = false

  constructor(binds: BindWindows) {
    this.#binds = binds
  }

  /** Slots that can ever be free at once. */
  get capacity(): number {
    return Math.min(this.#binds.window, Math.floor(this.#pace.burst))
  }

  /**
   * Slots that broadcasts leave free at this time. Usually one comes free in no time and urgent texts have the first choice of
   * it; where that takes long, or shortly after an urgent text, some are left to them.
   */
  urgentReserve(now: number): number {
    const { window } = this.#binds
    if (window <= 1) return 0
    const isSparse = this.#latencyMs / window > sparseSlotMs
    return isSparse || now - this.#urgentAt < urgentRecentMs ? shareOf(window) : 0
  }

  /** An urgent text is marked for this group. */
  noteUrgent(now: number): void {
    this.#urgentAt = now
  }

  /** Slots that can be reserved now for texts that may be written at once. */
  free(): number {
    const now = performance.now()
    return Math.max(0, Math.min(this.#unreserved(now), this.#pace.free(now)))
  }

  /**
   * Slots that can be reserved now for texts that are yet to be marked: those that come free during the mark are included,
   * and for urgent texts some more, for which other texts then wait. The caps are not.
   */
  freeToMark(caps: CapSet, isUrgent: boolean): number {
    const now = performance.now()
    const isResponding = now - this.#respondedAt < this.#latencyMs
    if (!caps.isUnlimited || this.isThrottled || !isResponding) return this.free()
    const { window } = this.#binds
    let ahead = this.#ahead.count(window, this.#latencyMs, Math.ceil(this.capacity / 4))
    if (ahead > 0 && isUrgent) ahead += shareOf(window)
    return Math.max(0, this.#unreserved(now) + ahead)
  }

  /** Free slots less those that are reserved: below zero while texts wait for theirs. */
  #unreserved(now: number): number {
    return this.#binds.freeAt(now) - this.#reserved
  }

  reserve(slots: number): void {
    this.#reserved += slots
    this.#pace.take(slots)
  }

  /** Gives back slots that were not used. */
  release(slots: number): void {
    this.#reserved -= slots
    this.#pace.giveBack(slots)
  }

  /** A reserved slot is taken by a PDU. */
  use(now: number, isFirstInFlight: boolean): void {
    this.#reserved--
    if (isFirstInFlight) this.#respondedAt = now
  }

  /** A response came to a PDU that was written at this time. */
  responded(writtenAt: number, now: number, isAccepted: boolean): void {
    this.#respondedAt = now
    this.#latencyMs += (now - writtenAt - this.#latencyMs) / 16
    if (isAccepted) this.#pace.accepted(now)
  }

  /** A mark took this long. */
  noteMarking(ms: number): void {
    this.#ahead.noteMarking(ms)
  }

  /** Whether a full window has had no response for so long that it is presumed dead. */
  isDead(now: number): boolean {
    return now - this.#respondedAt >= deadWindowMs
  }

  /** The carrier throttled a text: from now on the group keeps to the pace that it accepts. */
  throttled(): void {
    this.#pace.throttled(performance.now())
  }

  /** Whether the carrier has throttled texts lately. */
  get isThrottled(): boolean {
    return this.#pace.perSecond !== Number.POSITIVE_INFINITY
  }

  /** When the pace of a throttled group allows the next slot; in the past for any other group. */
  nextAt(now: number): number {
    return this.#pace.freeAt(now)
  }
}

function shareOf(window: number): number {
  return Math.max(1, Math.floor(window * urgentShare))
}
