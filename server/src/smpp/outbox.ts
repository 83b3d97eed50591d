import type { Duplex } from 'node:stream'
import { encodedBound, encodePduInto } from './pdu/codec.ts'
import type { Pdu } from './pdu/pdu.ts'

const SLAB = 64 * 1024

export type OutboxOptions = {
  /** What has to be written promptly and was not after so long must not be written any more. */
  staleMs: number
  /** Nothing waits here any more: all of it has been handed to the stream. */
  onFlush(): void
  /** The stream has asked us to wait, and takes more now. */
  onTaken(): void
  /** Something is stale: nothing is written before this has been dealt with, and it may not be then. */
  onStale(): void
}

/**
 * The writing side of a session. PDUs are encoded straight into a slab; what one turn of the event loop produced leaves in
 * one write, and nothing is handed to a stream that asks us to wait. A slab is never written twice, so no bytes move.
 */
export class Outbox {
  readonly #stream: Duplex
  readonly #options: OutboxOptions
  #slab = Buffer.allocUnsafeSlow(SLAB)
  #from = 0
  #at = 0
  #pieces: Buffer[] = []
  #piecesLength = 0
  #scheduled = false
  #blocked = false
  // when the first PDU was added that has to be written promptly, of those that wait here (monotonic milliseconds)
  #promptSince: number | undefined

  constructor(stream: Duplex, options: OutboxOptions) {
    this.#stream = stream
    this.#options = options
    stream.on('drain', () => {
      this.#blocked = false
      this.flush()
      if (!this.#blocked) options.onTaken()
    })
  }

  /** Bytes that the peer's side has not taken yet: ours and those inside the stream. */
  get backlog(): number {
    return this.#piecesLength + this.#at - this.#from + this.#stream.writableLength
  }

  /** Whether the stream has asked us to wait. */
  get isBlocked(): boolean {
    return this.#blocked
  }

  /** Takes the PDU for the next write. Throws PduError, with nothing taken, when it cannot be encoded. */
  add(pdu: Pdu, isPrompt = false) {
    const bound = encodedBound(pdu)
    if (bound > this.#slab.length - this.#at) this.#turnSlab(bound)
    this.#at = encodePduInto(this.#slab, this.#at, pdu)
    if (isPrompt) this.#promptSince ??= performance.now()
    if (this.#scheduled || this.#blocked) return
    this.#scheduled = true
    setImmediate(this.#flushScheduled)
  }

  #flushScheduled = () => {
    this.#scheduled = false
    this.flush()
  }

  /**
   * Hands everything to the stream now, even if it asked us to wait. What a process knew when it made a PDU need not be true
   * any more when it stood still before the write.
   */
  flush() {
    if (this.#stream.destroyed || this.#stream.writableEnded) return
    if (this.#promptSince !== undefined && performance.now() - this.#promptSince >= this.#options.staleMs) {
      this.#promptSince = undefined
      this.#options.onStale()
      return
    }
    this.#promptSince = undefined
    this.#cutPiece()
    if (this.#pieces.length > 0) {
      const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces)
      this.#pieces = []
      this.#piecesLength = 0
      this.#blocked = !this.#stream.write(bytes)
    }
    this.#options.onFlush()
  }

  #cutPiece() {
    if (this.#at === this.#from) return
    this.#pieces.push(this.#slab.subarray(this.#from, this.#at))
    this.#piecesLength += this.#at - this.#from
    this.#from = this.#at
  }

  #turnSlab(bound: number) {
    this.#cutPiece()
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, bound))
    this.#from = 0
    this.#at = 0
  }
}
