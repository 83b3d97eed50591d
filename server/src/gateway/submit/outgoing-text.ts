import type { Recipient } from '../../log/chunk.ts'
import type { Session } from '../../smpp/session.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { CapSet } from '../caps/caps.ts'
import type { ChunkEncoder, EncodedText } from './chunk-encoder.ts'
import type { LeasedChunk } from './leased-chunk.ts'

/** One text on its way: which of its parts are answered, and how. */
export type Flight = {
  leased: LeasedChunk
  /** All its parts go this way. */
  group: BindGroup
  caps: CapSet
  /** Which all its parts take while it has room. */
  bind: Session | undefined
  recipient: Recipient
  text: ChunkEncoder
  encoded: EncodedText
  validity: string
  unanswered: number
  accepted: number
  /** The first status that refused a part for good. */
  refusal: number | undefined
  /** Parts that certainly did not go out yet: there were too few places, or the SMSC asked us to come again. */
  returned: number[]
  retryMs: number
  /** The status of a part that is to be tried again later. */
  trouble: number | undefined
  /** How often parts were tried again beside others that the carrier has. */
  partTries: number
  inDoubt: boolean
  /** When it was last asked whether it may go out (monotonic milliseconds). */
  allowedAt: number
}

type FlightPlan = Pick<Flight, 'leased' | 'group' | 'recipient' | 'text' | 'caps' | 'allowedAt'>

/** A text that is marked, before any of its parts is written. */
export function makeFlight(plan: FlightPlan): Flight {
  return {
    ...plan,
    bind: undefined,
    encoded: plan.text.encode(plan.recipient),
    validity: '',
    unanswered: 0,
    accepted: 0,
    refusal: undefined,
    returned: [],
    retryMs: 0,
    trouble: undefined,
    partTries: 0,
    inDoubt: false,
  }
}
