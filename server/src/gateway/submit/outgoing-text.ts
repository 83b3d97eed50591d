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

/** One marked text on its way to the carrier: where it goes, what it is made of, and its state. */
export class OutgoingText {
  readonly leased: LeasedChunk
  /** All its parts go this way. */
  readonly group: BindGroup
  readonly recipient: Recipient
  readonly encoder: ChunkEncoder
  readonly encoded: EncodedText
  /** Those of today: they change while no token of them is reserved. */
  caps: CapSet
  /** The bind that all its parts take while it has a free window slot. */
  bind: Session | undefined = undefined
  /** How long the carrier may try to deliver it, as a PDU says it. */
  validity: string
  /** When the database was last asked whether it may be written (monotonic milliseconds). */
  allowedAt: number
  state: TextState

  /** A text that is marked, with window slots and tokens reserved for its first `count` parts. */
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

  /** How often the whole text was rejected by an SMSC in trouble before. */
  get attempt(): number {
    return this.leased.chunk.attempt
  }

  get isUrgent(): boolean {
    return this.leased.isUrgent
  }

  /** Whether the chunk is still ours, and the mark that allowed the text is fresh. */
  mayWrite(now: number): boolean {
    return this.leased.mayWrite(now) && now - this.allowedAt < markFreshMs
  }

  /** Moves to the state after an event, and returns that state. */
  apply(event: TextEvent): TextState {
    this.state = transition(this.state, event, this)
    return this.state
  }
}
