import type { Recipient } from '../../log/chunk.ts'
import type { Session } from '../../smpp/session.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { CapSet } from '../caps/caps.ts'
import { timing } from '../timing.ts'
import type { ChunkEncoder, EncodedText } from './chunk-encoder.ts'
import type { LeasedChunk } from './leased-chunk.ts'
import { initialState, type TextEvent, type TextState, transition } from './text-state.ts'

const { markFreshMs } = timing

type Mark = Pick<OutgoingText, 'leased' | 'group' | 'recipient' | 'encoder' | 'caps' | 'allowedAt' | 'validity'>

/** A marked text: its chunk, its bind group, its PDUs, and its state. */
export class OutgoingText {
  readonly leased: LeasedChunk
  /** The bind group that sends all its parts. */
  readonly group: BindGroup
  readonly recipient: Recipient
  readonly encoder: ChunkEncoder
  readonly encoded: EncodedText
  /** The caps of its reserved tokens; replaced by the current caps when no token is reserved. */
  caps: CapSet
  /** The bind that sends all its parts as long as it has free window slots. */
  bind: Session | undefined = undefined
  /** The validity_period of its PDUs. */
  validity: string
  /** When its last consent check started (monotonic milliseconds). */
  allowedAt: number
  state: TextState

  /** Window slots and tokens must be reserved for its first `count` parts. */
  constructor(mark: Mark, count: number) {
    this.leased = mark.leased
    this.group = mark.group
    this.recipient = mark.recipient
    this.encoder = mark.encoder
    this.encoded = mark.encoder.encode(mark.recipient)
    this.caps = mark.caps
    this.validity = mark.validity
    this.allowedAt = mark.allowedAt
    this.state = initialState(this.parts, Math.min(count, this.parts))
  }

  get parts(): number {
    return this.encoded.pdus.length
  }

  /** How often the whole text was rejected with a temporary error before. */
  get attempt(): number {
    return this.leased.chunk.attempt
  }

  get isUrgent(): boolean {
    return this.leased.isUrgent
  }

  /** Whether a part may be written now: the chunk is still leased, and the last consent check is fresh. */
  mayWrite(now: number): boolean {
    return this.leased.mayWrite(now) && now - this.allowedAt < markFreshMs
  }

  /** Applies an event and returns the new state; throws if the event cannot happen in the current state. */
  apply(event: TextEvent): TextState {
    this.state = transition(this.state, event, this)
    return this.state
  }
}
