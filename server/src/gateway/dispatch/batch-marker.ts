import { delayUntil } from '../../lib/timers.ts'
import type { Recipient } from '../../log/chunk.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { SendingRoutes } from '../binds/sending-routes.ts'
import type { CapSet } from '../caps/caps.ts'
import type { LeasedChunk } from '../submit/leased-chunk.ts'
import type { Submitter } from '../submit/submitter.ts'
import { timing } from '../timing.ts'
import type { Urgency } from '../urgency.ts'
import { MarkSize } from './mark-size.ts'

const { slotBatchMs } = timing

/**
 * Maximum concurrent marks of broadcasts. A third one gains nothing since marks no longer wait for each other's counters
 * (measured on two cores).
 */
const maxMarks = 2
/** The maximum shortly after an urgent text: a second mark takes the database's time from the next urgent text. */
const maxMarksBesideUrgent = 1
/** Maximum concurrent marks of all kinds when an urgent text is marked. */
const maxUrgentMarks = 4

/** The bind groups that currently have too few window slots, and the caps that have too few tokens. */
export type Full = Set<BindGroup | CapSet>
type Filter = (recipient: Recipient) => boolean

export type BatchMarkerOptions = {
  routes: SendingRoutes
  submitter: Pick<Submitter, 'submit'>
  urgency: Urgency
  /** This many recipients of a chunk are being marked. */
  onMarked(leased: LeasedChunk, texts: number): void
  /** A mark has ended, or tokens or window slots became free, so that another mark may be possible. */
  onChange(): void
}

/** Chooses the bind group and the size of the next batch of a chunk, and submits it. */
export class BatchMarker {
  readonly #options: BatchMarkerOptions
  readonly #size = new MarkSize()
  // number of marks that are running
  #marking = 0
  #wakeAt = Number.POSITIVE_INFINITY
  #wakeTimer: NodeJS.Timeout | undefined
  #smallMarkTimer: NodeJS.Timeout | undefined
  // groups that wait for enough window slots for a full mark
  readonly #waitingForSlots = new Set<BindGroup>()

  constructor(options: BatchMarkerOptions) {
    this.#options = options
  }

  stop(): void {
    clearTimeout(this.#smallMarkTimer)
    clearTimeout(this.#wakeTimer)
  }

  get isMarking(): boolean {
    return this.#marking > 0
  }

  /** Whether another mark may start. */
  hasRoom(isUrgent: boolean, now: number): boolean {
    if (isUrgent) return this.#marking < maxUrgentMarks
    return this.#marking < (this.#options.urgency.isRecent(now) ? maxMarksBesideUrgent : maxMarks)
  }

  /**
   * Marks a batch of this chunk for the bind group that is next, or for another one if the caps or the carrier's pace of that
   * group are used up. Returns false if no group has enough free window slots and tokens.
   */
  fill(leased: LeasedChunk, now: number, full: Full): boolean {
    const { routes } = this.#options
    const { shortCodeId } = leased.chunk
    const passedOver: BindGroup[] = []
    for (const group of routes.groupsInOrder(shortCodeId, now)) {
      if (group.needsCarriers && !leased.hasCarriers) {
        leased.mustReload = true
        return false
      }
      const texts = this.#fillGroup(leased, group, now, full)
      if (texts > 0) {
        routes.count(shortCodeId, group, texts, passedOver)
        return true
      }
      // no other group replaces one whose window is full: weights are shares of the texts, not of the throughput
      if (full.has(group) && !group.windowSlots.isThrottled) return false
      passedOver.push(group)
    }
    return false
  }

  /** Calls `onChange` at this time (monotonic milliseconds), or sooner if an earlier time was set. */
  wakeAt(at: number): void {
    if (at >= this.#wakeAt) return
    clearTimeout(this.#wakeTimer)
    this.#wakeAt = at
    this.#wakeTimer = setTimeout(
      () => {
        this.#wakeAt = Number.POSITIVE_INFINITY
        this.#options.onChange()
      },
      Math.max(1, delayUntil(at, performance.now())),
    )
  }

  /** Marks a batch of this chunk for this group and returns the number of texts. */
  #fillGroup(leased: LeasedChunk, group: BindGroup, now: number, full: Full): number {
    const { shortCodeId } = leased.chunk
    if (full.has(group)) return 0
    if (!group.needsCarriers) return this.#mark(leased, group, group.capsFor(shortCodeId), undefined, now, full)
    // batches per carrier, so that texts to one carrier do not delay those to others
    const carriers = new Set<string | undefined>(Object.keys(group.connection.carrierMps)).add(undefined)
    for (const carrier of carriers) {
      const filter = (recipient: Recipient) => group.carrierOf(recipient) === carrier
      const texts = this.#mark(leased, group, group.capsFor(shortCodeId, carrier), filter, now, full)
      if (texts > 0) return texts
    }
    return 0
  }

  /**
   * Marks a batch for this group, under these caps, and returns the number of texts. It is 0 if no recipient is ready, or if the
   * group or the caps are full, in which case they are added to `full`.
   */
  #mark(
    leased: LeasedChunk,
    group: BindGroup,
    caps: CapSet,
    filter: Filter | undefined,
    now: number,
    full: Full,
  ): number {
    const { windowSlots } = group
    const { isUrgent } = leased
    const ready = leased.ready(filter)
    if (ready === 0 || full.has(group) || full.has(caps)) return 0
    if (caps.isClosed) {
      caps.reportShortage(now, 1)
      full.add(caps)
      return 0
    }
    const urgentReserve = isUrgent ? 0 : windowSlots.urgentReserve(now)
    const capacity = Math.min(windowSlots.capacity, group.window - urgentReserve, caps.capacity)
    // a text with more parts than the capacity gets all slots now, and its other parts wait for slots later
    const slots = Math.min(leased.encoderFor(group).pduCount, capacity)
    const maxTexts = Math.min(ready, this.#size.rows)
    const freeSlots = windowSlots.freeToMark(caps, isUrgent, urgentReserve)
    const textsBySlots = slots === 0 ? 0 : Math.floor(freeSlots / slots)
    // a mark costs nearly the same for few rows as for many, so it waits a moment until a quarter of the window is free
    const minTextsBySlots = Math.min(maxTexts, Math.ceil(capacity / 4 / slots))
    if (textsBySlots === 0 || (textsBySlots < minTextsBySlots && !isUrgent && !windowSlots.allowsSmallMark)) {
      if (textsBySlots > 0) this.#waitForSlots(group)
      else if (windowSlots.nextAt(now) > now) this.wakeAt(windowSlots.nextAt(now))
      // even if slots are reserved for urgent texts: these were marked before
      full.add(group)
      return 0
    }
    const minTextsByTokens = isUrgent ? 1 : Math.min(maxTexts, Math.ceil(caps.minBatch / slots))
    const textsByTokens = Math.floor(caps.free(now) / slots)
    if (textsByTokens < minTextsByTokens) {
      full.add(caps)
      caps.reportShortage(now, minTextsByTokens * slots)
      this.wakeAt(caps.freeAt(now, minTextsByTokens * slots))
      return 0
    }
    const recipients = leased.take(Math.min(maxTexts, textsBySlots, textsByTokens), filter)
    group.reserve(recipients.length * slots, caps)
    windowSlots.allowsSmallMark = false
    if (isUrgent) {
      this.#options.urgency.note(now)
      windowSlots.noteUrgent(now)
    }
    this.#options.onMarked(leased, recipients.length)
    this.#marking++
    void this.#options.submitter.submit(leased, group, recipients, slots, caps).finally(() => {
      this.#marking--
      this.#size.note(performance.now() - now)
      this.#options.onChange()
    })
    return recipients.length
  }

  /** Waits for more free slots of this group; after `slotBatchMs`, a mark with fewer texts is allowed. */
  #waitForSlots(group: BindGroup): void {
    this.#waitingForSlots.add(group)
    this.#smallMarkTimer ??= setTimeout(() => {
      this.#smallMarkTimer = undefined
      for (const each of this.#waitingForSlots) each.windowSlots.allowsSmallMark = true
      this.#waitingForSlots.clear()
      this.#options.onChange()
    }, slotBatchMs)
  }
}
