// The states of the last 200,000 accepted messages, for query_sm, cancel_sm and replace_sm. They are in flat arrays so
// that a broadcast does not increase the simulator's memory. Ids are consecutive, so an id determines its index.

import { messageState } from '../smpp/pdu/flags.ts'

export const MAX_MESSAGES = 200_000

export type MessageState = (typeof messageState)[keyof typeof messageState]

export class MessageStates {
  readonly #ids: Float64Array
  readonly #finalAt: Float64Array
  readonly #sources: Uint32Array
  readonly #destinations: Uint32Array
  readonly #states: Uint8Array

  constructor(capacity = MAX_MESSAGES) {
    this.#ids = new Float64Array(capacity)
    this.#finalAt = new Float64Array(capacity)
    this.#sources = new Uint32Array(capacity)
    this.#destinations = new Uint32Array(capacity)
    this.#states = new Uint8Array(capacity)
  }

  /** Adds a message that is ENROUTE until `finalAt`, and then has this state. */
  add(id: number, source: string, destination: string, state: MessageState, finalAt: number): void {
    const at = id % this.#ids.length
    this.#ids[at] = id
    this.#finalAt[at] = finalAt
    this.#sources[at] = hashOf(source)
    this.#destinations[at] = hashOf(destination)
    this.#states[at] = state
  }

  /** Returns the state of a message; undefined if it is not stored or belongs to another sender. */
  find(id: number, source: string, now: number): { state: MessageState; finalAt: number | undefined } | undefined {
    const at = id % this.#ids.length
    if (this.#ids[at] !== id || this.#sources[at] !== hashOf(source)) return undefined
    const finalAt = this.#finalAt[at] ?? 0
    if (now < finalAt) return { state: messageState.ENROUTE, finalAt: undefined }
    return { state: this.#states[at] as MessageState, finalAt }
  }

  /** Returns whether the message is ENROUTE and can be cancelled or replaced. */
  isPending(id: number, source: string, now: number): boolean {
    return this.find(id, source, now)?.state === messageState.ENROUTE
  }

  /** Returns the ids of this sender's messages to this handset that are ENROUTE. */
  pendingBetween(source: string, destination: string, now: number): number[] {
    const from = hashOf(source)
    const to = hashOf(destination)
    const ids: number[] = []
    for (let at = 0; at < this.#ids.length; at++) {
      if (this.#sources[at] !== from || this.#destinations[at] !== to || now >= (this.#finalAt[at] ?? 0)) continue
      ids.push(this.#ids[at] as number)
    }
    return ids
  }

  /** Sets the final state of a message that is ENROUTE. */
  end(id: number, state: MessageState, now: number): void {
    const at = id % this.#ids.length
    if (this.#ids[at] !== id) return
    this.#states[at] = state
    this.#finalAt[at] = now
  }

  clear(): void {
    this.#ids.fill(0)
    this.#finalAt.fill(0)
  }
}

/** Hashes an address to 32 bits (FNV-1a). */
function hashOf(address: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
