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
 * Takes recipients from the mark to the outcome: marks them in the database, writes their PDUs into window slots that are
 * reserved beforehand, and hands the outcome of each text to the recorder.
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
      onReady: (text, part, waitedFor) => this.#writer.ready(text, part, waitedFor),
      onTimeout: (text, part) => this.#writer.returnPart(text, part),
      onUnmark: (leased, recipients, delayMs) => void this.#unmark(leased, recipients, delayMs),
      onChange,
    })
    this.#writer = new PartWriter({
      room: this.#room,
      recorder,
      trace,
      onSettled: (text) => this.#settled(text),
      onRecorded: (text) => this.#recorded(text),
    })
    this.#partialSends = new PartialSends({
      ...rt,
      room: this.#room,
      write: (text, part) => this.#writer.writeWhenReady(text, part),
      onAbandon: (text) => {
        text.apply({ kind: 'abandoned' })
        this.#settled(text)
      },
      onChange,
    })
  }

  /**
   * Marks these recipients of the chunk and submits to those that may be texted. `slots` window slots of the bind group and
   * tokens of the caps are reserved for each; further parts of a text follow as slots come free. Never rejects.
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
    const began = performance.now()
    let marked: number[]
    try {
      marked = await retryLostRaces(() => markSubmitting(db, leased.chunk, recipients, clock.now()))
    } catch (error) {
      // the mark may have committed all the same: take it back before anything else happens to these rows
      log.warn({ err: error, chunk: leased.chunk.id }, 'failed to mark texts, retrying')
      group.release(recipients.length * slots, caps)
      await this.#unmark(leased, recipients, remarkMinMs)
      return
    }
    const tookMs = performance.now() - began
    group.windowSlots.noteMarking(tookMs)
    caps.noteMarking(tookMs)
    const allowed = new Set(marked)
    const going = recipients.filter((recipient) => allowed.has(recipient.id))
    group.release((recipients.length - going.length) * slots, caps)
    leased.open -= recipients.length - going.length
    if (going.length > 0 && !(await this.#write(leased, group, going, { slots, caps, began }))) {
      group.release(going.length * slots, caps)
      await this.#unmark(leased, going, Math.min(remarkMaxMs, Math.max(remarkMinMs, tookMs)))
      return
    }
    this.#onChange()
  }

  /** Continues texts that the carrier has in part; see PartialSends. */
  resume(now: number, onTokens: (at: number) => void): Set<BindGroup | CapSet> {
    return this.#partialSends.resume(now, onTokens)
  }

  /** Window slots of this bind group came free. */
  slotsFreed(group: BindGroup): void {
    this.#room.slotsFreed(group)
  }

  /** A response came after its deadline. */
  late(request: SubmitSm, response: ResponsePdu): void {
    this.#writer.late(request, response)
  }

  /** Writes texts that are marked; false, and nothing written, when it is too late for that. */
  async #write(
    leased: LeasedChunk,
    group: BindGroup,
    recipients: Recipient[],
    { slots, caps, began }: { slots: number; caps: CapSet; began: number },
  ): Promise<boolean> {
    const { clock, log } = this.#rt
    const { encoder } = leased.encoderFor(group)
    const validity = encoder.validityAt(clock.now())
    const texts = recipients.map(
      (recipient) => new OutgoingText({ leased, group, recipient, encoder, caps, allowedAt: began, validity }, slots),
    )
    if (!(await this.#correctPartCounts(leased, texts))) return false
    const now = performance.now()
    if (!texts.every((text) => text.mayWrite(now))) {
      if (!leased.lost)
        log.warn({ chunk: leased.chunk.id, ms: now - began }, 'marks too old to write their texts, retrying')
      return false
    }
    for (const text of texts) {
      const count = Math.min(slots, text.parts)
      // slots were reserved for the longest text of the chunk
      if (count < slots) group.release(slots - count, caps)
      for (let part = 0; part < count; part++) this.#writer.writeWhenReady(text, part)
    }
    return true
  }

  /** Stores the number of parts where it was not known, for receipts to find theirs; false when that failed. */
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

  /** Does what the state of a text asks for that is no longer being submitted. */
  #settled(text: OutgoingText): void {
    const { leased, recipient, state, group } = text
    const entry = { logId: recipient.id, day: leased.chunk.loggedOn, recorded: () => this.#recorded(text) }
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
        this.#room.waitWithRest(text, state.delayMs)
        break
      default:
        throw new Error(`a text that is ${state.name} is not settled`)
    }
  }

  #recorded({ leased }: OutgoingText): void {
    leased.open--
    if (leased.finished) this.#onChange()
  }

  async #unmark(leased: LeasedChunk, recipients: Recipient[], delayMs: number): Promise<void> {
    await unmark(this.#rt, this.#room, leased, recipients, delayMs)
    this.#onChange()
  }
}
