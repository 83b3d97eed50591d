import type { Recipient } from '../../log/chunk.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { SendingRoutes } from '../binds/sending-routes.ts'
import type { CapSet } from '../caps/caps.ts'
import type { LeasedChunk } from '../submit/leased-chunk.ts'
import type { Submitter } from '../submit/submitter.ts'
import { timing } from '../timing.ts'
import { MarkSize } from './mark-size.ts'

const { slotBatchMs } = timing

/** Marks beside each other: more than three gain nothing. Urgent texts may begin two more. */
const maxMarks = 3
const maxUrgentMarks = maxMarks + 2

/** The bind groups with too few window slots for now, and the caps with too few tokens. */
export type Full = Set<BindGroup | CapSet>
type Among = (recipient: Recipient) => boolean

export type BatchMarkerOptions = {
  routes: SendingRoutes
  submitter: Pick<Submitter, 'submit'>
  /** So many recipients of this broadcast are marked. */
  onMarked(leased: LeasedChunk, texts: number): void
  /** A mark has ended, or tokens or window slots have come free: there may be something to mark. */
  onChange(): void
}

/** Chooses the bind group and the size of the next batch of a chunk, and has it marked. */
export class BatchMarker {
  readonly #options: BatchMarkerOptions
  readonly #size = new MarkSize()
  // marks that are under way
  #marking = 0
  #tokensAt = Number.POSITIVE_INFINITY
  #tokensTimer: NodeJS.Timeout | undefined
  #companyTimer: NodeJS.Timeout | undefined
  readonly #waitingForCompany = new Set<BindGroup>()

  constructor(options: BatchMarkerOptions) {
    this.#options = options
  }

  stop(): void {
    clearTimeout(this.#companyTimer)
    clearTimeout(this.#tokensTimer)
  }

  get isMarking(): boolean {
    return this.#marking > 0
  }

  /** Whether another mark may begin. */
  hasRoom(isUrgent: boolean): boolean {
    return this.#marking < (isUrgent ? maxUrgentMarks : maxMarks)
  }

  /**
   * Marks a batch of this chunk for the bind group whose turn it is, or, where the carrier or the caps of that group take no more
   * for now, for one that stands in for it; false when these have too little room.
   */
  fill(leased: LeasedChunk, now: number, full: Full): boolean {
    const { routes } = this.#options
    const { shortCodeId } = leased.chunk
    const passedOver: BindGroup[] = []
    for (const group of routes.inTurn(shortCodeId, now)) {
      if (group.needsCarriers && !leased.hasCarriers) {
        leased.mustReload = true
        return false
      }
      const texts = this.#fillGroup(leased, group, now, full)
      if (texts > 0) {
        routes.count(shortCodeId, group, texts, passedOver)
        return true
      }
      // one that is merely busy keeps its turn: weights count texts, not what each group could carry
      if (full.has(group) && !group.windowSlots.isThrottled) return false
      passedOver.push(group)
    }
    return false
  }

  /** Calls `onChange` at this time: tokens of some caps come free. */
  wakeAt(at: number): void {
    if (at >= this.#tokensAt) return
    clearTimeout(this.#tokensTimer)
    this.#tokensAt = at
    this.#tokensTimer = setTimeout(
      () => {
        this.#tokensAt = Number.POSITIVE_INFINITY
        this.#options.onChange()
      },
      Math.max(1, at - performance.now()),
    )
  }

  /** Marks a batch of this chunk for this group; returns the number of texts. */
  #fillGroup(leased: LeasedChunk, group: BindGroup, now: number, full: Full): number {
    const { shortCodeId } = leased.chunk
    if (full.has(group)) return 0
    if (!group.needsCarriers) return this.#mark(leased, group, group.capsFor(shortCodeId), undefined, now, full)
    // the texts to one carrier must not delay those to others
    const carriers = new Set<string | undefined>(Object.keys(group.connection.carrierMps)).add(undefined)
    for (const carrier of carriers) {
      const among = (recipient: Recipient) => group.carrierOf(recipient) === carrier
      const texts = this.#mark(leased, group, group.capsFor(shortCodeId, carrier), among, now, full)
      if (texts > 0) return texts
    }
    return 0
  }

  /**
   * Marks a batch for this group, under these caps, and returns the number of texts: none when no recipient is ready or there
   * is too little room for now, which it notes as full.
   */
  #mark(
    leased: LeasedChunk,
    group: BindGroup,
    caps: CapSet,
    among: Among | undefined,
    now: number,
    full: Full,
  ): number {
    const { windowSlots } = group
    const { isUrgent } = leased
    const ready = leased.ready(among)
    if (ready === 0 || full.has(group) || full.has(caps)) return 0
    if (caps.isClosed) {
      caps.reportShortage(now, 1)
      full.add(caps)
      return 0
    }
    // a text of more parts than can ever be in flight at once takes all slots, and its other parts wait for slots later
    const reserve = isUrgent ? 0 : windowSlots.urgentReserve(now)
    const capacity = Math.min(windowSlots.capacity, group.window - reserve, caps.capacity)
    const slots = Math.min(leased.encoderFor(group).pduCount, capacity)
    const wanted = Math.min(ready, this.#size.rows)
    const room = slots === 0 ? 0 : Math.max(0, Math.floor((windowSlots.freeToMark(caps, isUrgent) - reserve) / slots))
    // a mark costs nearly the same for few rows as for many: wait a moment for a quarter of the window to be free
    const worthwhile = Math.min(wanted, Math.ceil(capacity / 4 / slots))
    if (room === 0 || (room < worthwhile && !isUrgent && !windowSlots.allowsSmallMark)) {
      if (room > 0) this.#waitForCompany(group)
      else if (windowSlots.nextAt(now) > now) this.wakeAt(windowSlots.nextAt(now))
      // slots left to urgent texts are free for them, but their turn was before
      full.add(group)
      return 0
    }
    const enough = isUrgent ? 1 : Math.min(wanted, Math.ceil(caps.batch / slots))
    const affordable = Math.floor(caps.free(now) / slots)
    if (affordable < enough) {
      full.add(caps)
      caps.reportShortage(now, enough * slots)
      this.wakeAt(caps.freeAt(now, enough * slots))
      return 0
    }
    const recipients = leased.take(Math.min(wanted, room, affordable), among)
    group.reserve(recipients.length * slots, caps)
    windowSlots.allowsSmallMark = false
    if (isUrgent) windowSlots.noteUrgent(now)
    else this.#options.onMarked(leased, recipients.length)
    this.#marking++
    void this.#options.submitter.submit(leased, group, recipients, slots, caps).finally(() => {
      this.#marking--
      this.#size.note(performance.now() - now)
      this.#options.onChange()
    })
    return recipients.length
  }

  /** This group has too few free slots for a full mark: after a moment they are enough. */
  #waitForCompany(group: BindGroup): void {
    this.#waitingForCompany.add(group)
    this.#companyTimer ??= setTimeout(() => {
      this.#companyTimer = undefined
      for (const each of this.#waitingForCompany) each.windowSlots.allowsSmallMark = true
      this.#waitingForCompany.clear()
      this.#options.onChange()
    }, slotBatchMs)
  }
}
