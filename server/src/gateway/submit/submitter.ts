import { statusMapOf } from '../../connections/status-map.ts'
import { retryLostRaces } from '../../db/retry.ts'
import type { Recipient } from '../../log/chunk.ts'
import { correctPartCounts, markSubmitting } from '../../log/marks.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { statusName } from '../../smpp/pdu/command-status.ts'
import type { ResponsePdu, SubmitSm } from '../../smpp/pdu/pdu.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import { type CapSet, noCaps } from '../caps/caps.ts'
import { timing } from '../timing.ts'
import type { LeasedChunk } from './leased-chunk.ts'
import { OutgoingText } from './outgoing-text.ts'
import { PartWriter } from './part-writer.ts'
import { PartialSends } from './partial-sends.ts'
import type { Recorder } from './recorder.ts'
import type { Trace } from './trace.ts'
import { unmark } from './unmarking.ts'
import { WaitingRoom } from './waiting-room.ts'

const { remarkMaxMs, remarkMinMs } = timing

/**
 * Submits texts: marks their recipients in the database, writes their PDUs into window slots that were reserved before, and
 * passes the outcome of each text to the recorder.
 */
export class Submitter {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #recorder: Recorder
  readonly #onChange: () => void
  readonly #room: WaitingRoom
  readonly #writer: PartWriter
  readonly #partialSends: PartialSends

  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>, recorder: Recorder, trace: Trace, onChange: () => void) {
    this.#rt = rt
    this.#recorder = recorder
    this.#onChange = onChange
    this.#room = new WaitingRoom({
      onReady: (text, part, waitedFor) => this.#writer.writeAfterWait(text, part, waitedFor),
      onTimeout: (text, part) => this.#writer.returnPart(text, part),
      onUnmark: (leased, recipients, delayMs) => void this.#unmark(leased, recipients, delayMs),
      onChange,
    })
    this.#writer = new PartWriter({
      room: this.#room,
      recorder,
      trace,
      onSettled: (text) => this.#handleSettled(text),
      onRecorded: (text) => this.#handleRecorded(text),
    })
    this.#partialSends = new PartialSends({
      ...rt,
      room: this.#room,
      write: (text, part) => this.#writer.writeWhenReady(text, part),
      onAbandon: (text) => {
        text.apply({ kind: 'abandoned' })
        this.#handleSettled(text)
      },
      onChange,
    })
  }

  /**
   * Marks these recipients of the chunk and writes the texts of those that may be texted. Callers must have reserved `slots`
   * window slots of the bind group, and as many tokens of each cap, for each recipient; further parts of a text are written as
   * slots become free. Resolves when the texts are written or the mark has failed; never rejects.
   */
  async submit(
    leased: LeasedChunk,
    group: BindGroup,
    recipients: Recipient[],
    slots: number,
    caps: CapSet = noCaps,
  ): Promise<void> {
    const { db, clock, log } = this.#rt
    leased.open += recipients.length
    const startedAt = performance.now()
    let marked: number[]
    try {
      marked = await retryLostRaces(() => markSubmitting(db, leased.chunk, recipients, clock.now()))
    } catch (error) {
      // the mark may have been committed although the statement failed, so the rows are unmarked before anything else
      log.warn({ err: error, chunk: leased.chunk.id }, 'failed to mark texts, retrying')
      group.release(recipients.length * slots, caps)
      await this.#unmark(leased, recipients, remarkMinMs)
      return
    }
    const markingMs = performance.now() - startedAt
    group.windowSlots.noteMarking(markingMs)
    caps.noteMarking(markingMs)
    const markedIds = new Set(marked)
    const allowed = recipients.filter((recipient) => markedIds.has(recipient.id))
    group.release((recipients.length - allowed.length) * slots, caps)
    leased.open -= recipients.length - allowed.length
    if (allowed.length > 0 && !(await this.#write(leased, group, allowed, { slots, caps, startedAt }))) {
      group.release(allowed.length * slots, caps)
      await this.#unmark(leased, allowed, Math.min(remarkMaxMs, Math.max(remarkMinMs, markingMs)))
      return
    }
    this.#onChange()
  }

  /** Continues partial sends; see `PartialSends.resume`. */
  resume(now: number, onTokens: (at: number) => void): Set<BindGroup | CapSet> {
    return this.#partialSends.resume(now, onTokens)
  }

  /** Writes texts that were marked ahead, because window slots of this bind group became free. */
  slotsFreed(group: BindGroup): void {
    this.#room.slotsFreed(group)
  }

  /** Handles a response that arrived after its deadline. */
  handleLateResponse(request: SubmitSm, response: ResponsePdu): void {
    this.#writer.handleLateResponse(request, response)
  }

  /** Writes marked texts; returns false and writes nothing if the mark is too old or part counts cannot be corrected. */
  async #write(
    leased: LeasedChunk,
    group: BindGroup,
    recipients: Recipient[],
    { slots, caps, startedAt }: { slots: number; caps: CapSet; startedAt: number },
  ): Promise<boolean> {
    const { clock, log } = this.#rt
    const { encoder } = leased.encoderFor(group)
    const validity = encoder.validityAt(clock.now())
    const texts = recipients.map(
      (recipient) =>
        new OutgoingText({ leased, group, recipient, encoder, caps, allowedAt: startedAt, validity }, slots),
    )
    if (!(await this.#correctPartCounts(leased, texts))) return false
    const now = performance.now()
    if (!texts.every((text) => text.mayWrite(now))) {
      if (!leased.lost)
        log.warn({ chunk: leased.chunk.id, ms: now - startedAt }, 'marks too old to write their texts, retrying')
      return false
    }
    for (const text of texts) {
      const count = Math.min(slots, text.parts)
      // the reservation was for the longest text of the chunk
      if (count < slots) group.release(slots - count, caps)
      for (let part = 0; part < count; part++) this.#writer.writeWhenReady(text, part)
    }
    return true
  }

  /** Corrects wrong part counts in the message log, which receipts of long texts need; returns false if that failed. */
  async #correctPartCounts(leased: LeasedChunk, texts: OutgoingText[]): Promise<boolean> {
    const { db, log } = this.#rt
    const wrong = texts
      .filter(({ encoded, recipient }) => encoded.partCount !== recipient.partCount)
      .map(({ encoded, recipient }) => ({ id: recipient.id, partCount: encoded.partCount }))
    if (wrong.length === 0) return true
    try {
      await retryLostRaces(() => correctPartCounts(db, leased.chunk.loggedOn, wrong))
      for (const { encoded, recipient } of texts) recipient.partCount = encoded.partCount
      return true
    } catch (error) {
      log.warn({ err: error, chunk: leased.chunk.id }, 'failed to correct part counts, retrying')
      return false
    }
  }

  /** Records, requeues or continues a text whose written parts all have an outcome. */
  #handleSettled(text: OutgoingText): void {
    const { leased, recipient, state, group } = text
    const entry = { logId: recipient.id, day: leased.chunk.loggedOn, recorded: () => this.#handleRecorded(text) }
    switch (state.name) {
      case 'rejected': {
        const reason = statusMapOf(group.connection).ofStatus(state.status)
        this.#recorder.rejected({ ...entry, reason, carrierStatus: statusName(state.status) })
        break
      }
      case 'unknown':
        this.#recorder.unknown(entry)
        break
      case 'delayed':
        this.#recorder.delayed({ ...entry, chunk: leased.chunk, afterMs: state.delayMs })
        break
      case 'requeued':
        this.#room.waitForUnmark(leased, recipient, state.delayMs)
        break
      case 'partial':
        this.#room.waitWithRemaining(text, state.delayMs)
        break
      default:
        throw new Error(`a text that is ${state.name} is not settled`)
    }
  }

  #handleRecorded({ leased }: OutgoingText): void {
    leased.open--
    if (leased.finished) this.#onChange()
  }

  async #unmark(leased: LeasedChunk, recipients: Recipient[], delayMs: number): Promise<void> {
    await unmark(this.#rt, this.#room, leased, recipients, delayMs)
    this.#onChange()
  }
}
