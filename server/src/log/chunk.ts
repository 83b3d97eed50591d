import type { Consent } from './consent.ts'

/** A leased chunk with what its message says of each text in it. */
export type Chunk = {
  id: number
  epoch: number
  accountId: number
  messageId: number
  loggedOn: string
  lane: number
  firstLogId: number
  lastLogId: number
  /** How often its texts were tried before. */
  attempt: number
  listId: number | null
  shortCodeId: number
  consent: Consent
  content: string
  shortCode: string
  /** After this nobody in it may be texted until it is given a new due time. */
  closesAt: Date | null
  /** After this nobody is texted at all. */
  deliverBy: Date | null
}

export type Claim = {
  owner: string
  leaseMs: number
  now: Date
  fromLane: number
  toLane: number
  limit: number
  /** The short codes that the owner can send from, only these, or all but these; left out, all. */
  codes?: { allBut: boolean; ids: number[] }
}

export type BroadcastClaim = Omit<Claim, 'fromLane' | 'toLane'> & {
  /** Broadcasts of which the owner has enough in hand. */
  enough: number[]
  /** Broadcasts that the owner was given chunks of, longest ago first: others come before them. */
  served: number[]
}

/** What the rows of this chunk say of it: nothing, or its id where it lies in the range of an older one. */
export function ownChunkId({ id, attempt }: Pick<Chunk, 'id' | 'attempt'>): number | null {
  return attempt > 0 ? id : null
}

/** A row of a chunk that waits to be submitted. */
export type Recipient = {
  id: number
  phone: number
  /** His own text; without one he gets what the message says to all. */
  content?: string | null
  /** Parts of his text, as the log has them. */
  partCount: number
  /** The number of the handset's carrier, where it was asked for and is known. */
  carrier?: string | undefined
}
