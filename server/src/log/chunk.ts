import type { Consent } from './consent.ts'

/** A leased chunk, with the data of its message that apply to each text. */
export type Chunk = {
  id: number
  epoch: number
  accountId: number
  messageId: number
  loggedOn: string
  lane: number
  firstLogId: number
  lastLogId: number
  /** Number of earlier attempts to submit its texts. */
  attempt: number
  listId: number | null
  shortCodeId: number
  consent: Consent
  content: string
  shortCode: string
  /** When its window closes: none of its texts may be submitted from then until it has a new due time. */
  closesAt: Date | null
  /** The message's deadline: its texts are suppressed from then on. */
  deliverBy: Date | null
}

export type Claim = {
  owner: string
  leaseMs: number
  now: Date
  fromLane: number
  toLane: number
  limit: number
  /** The short codes that the owner can send from: only `ids`, or all but `ids`; undefined means all. */
  codes?: { allBut: boolean; ids: number[] }
}

export type BroadcastClaim = Omit<Claim, 'fromLane' | 'toLane'> & {
  /** Broadcasts that are not claimed now, because the owner has leased enough of their chunks. */
  enough: number[]
  /** Broadcasts whose chunks the owner leased before, the least recent first; all others precede them. */
  served: number[]
  /** The accounts of these broadcasts, in the same way. */
  servedAccounts: number[]
  /** Accounts whose chunks are not claimed now. */
  exceptAccounts: number[]
}

/** The `chunk_id` of this chunk's log rows: null, or its id if it is a retry in the id range of an earlier chunk. */
export function ownChunkId({ id, attempt }: Pick<Chunk, 'id' | 'attempt'>): number | null {
  return attempt > 0 ? id : null
}

/** A row of a chunk that waits to be submitted. */
export type Recipient = {
  id: number
  phone: number
  /** Recipient-specific text; null means the message's content. */
  content?: string | null
  /** Parts of the text, as stored in the log. */
  partCount: number
  /** The number of the phone's carrier; undefined if it was not requested or is not known. */
  carrier?: string | undefined
}
