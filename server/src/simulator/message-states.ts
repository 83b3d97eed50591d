// What became of the messages that were taken last, in flat arrays: query_sm, cancel_sm and replace_sm ask for any of the
// last 200,000, and a broadcast must not make the simulator larger. Ids count up by one, so an id is its own place.

import { messageState } from '../smpp/pdu/flags.ts'

export const MESSAGES_KEPT = 200_000

export type MessageState = (typeof messageState)[keyof typeof messageState]

export class MessageStates {
  readonly #ids: Float64Array
  readonly #finalAt: Float64Array
  readonly #sources: Uint32Array
  readonly #destinations: Uint32Array
  readonly #states: Uint8Array

  constructor(kept = MESSAGES_KEPT) {
    this.#ids = new Float64Array(kept)
    this.#finalAt = new Float64Array(kept)
    this.#sources = new Uint32Array(kept)
    this.#destinations = new Uint32Array(kept)
    this.#states = new Uint8Array(kept)
  }

  /** A message that will be in this state from `finalAt` on, and is on its way until then. */
  add(id: number, source: string, destination: string, state: MessageState, finalAt: number): void {
    const at = id % this.#ids.length
    this.#ids[at] = id
    this.#finalAt[at] = finalAt
    this.#sources[at] = hashOf(source)
    this.#destinations[at] = hashOf(destination)
    this.#states[at] = state
  }

  /** Undefined for a message that is forgotten or was never there, and for another sender's. */
  find(id: number, source: string, now: number): { state: MessageState; finalAt: number | undefined } | undefined {
    const at = id % this.#ids.length
    if (this.#ids[at] !== id || this.#sources[at] !== hashOf(source)) return undefined
    const finalAt = this.#finalAt[at] ?? 0
    if (now < finalAt) return { state: messageState.ENROUTE, finalAt: undefined }
    return { state: this.#states[at] as MessageState, finalAt }
  }

  /** Whether it is still on its way, so that it can be cancelled or replaced. */
  isPending(id: number, source: string, now: number): boolean {
    return this.find(id, source, now)?.state === messageState.ENROUTE
  }

  /** The messages of this sender that are on their way to this handset. */
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

  /** Ends a message that was on its way. */
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

/** FNV-1a: an address in four octets. */
function hashOf(address: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
