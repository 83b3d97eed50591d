import type { Duplex } from 'node:stream'
import { encodedBound, encodePduInto } from './pdu/codec.ts'
import type { Pdu } from './pdu/pdu.ts'

const SLAB = 64 * 1024

export type OutboxOptions = {
  /** Age at which an unwritten prompt PDU is stale and must no longer be written. */
  staleMs: number
  /** All PDUs were passed to the stream. */
  onFlush(): void
  /** The stream was blocked and accepts more now. */
  onUnblocked(): void
  /** A prompt PDU is stale; this flush wrote nothing. */
  onStale(): void
}

/**
 * The writing side of a session. Encodes PDUs directly into a slab, writes the PDUs of one turn of the event loop in one
 * write, and writes nothing to a blocked stream. Each region of a slab is used once, so no bytes are copied.
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
  // when the oldest unwritten prompt PDU was added (monotonic milliseconds)
  #promptSince: number | undefined

  constructor(stream: Duplex, options: OutboxOptions) {
    this.#stream = stream
    this.#options = options
    stream.on('drain', () => {
      this.#blocked = false
      this.flush()
      if (!this.#blocked) options.onUnblocked()
    })
  }

  /** Octets that the peer has not read yet: those in the outbox and those in the stream. */
  get backlog(): number {
    return this.#piecesLength + this.#at - this.#from + this.#stream.writableLength
  }

  /** Whether the stream's buffer is full. */
  get isBlocked(): boolean {
    return this.#blocked
  }

  /** Encodes the PDU for the next write. Throws PduError, and adds nothing, if the PDU cannot be encoded. */
  add(pdu: Pdu, isPrompt = false) {
    const bound = encodedBound(pdu)
    if (bound > this.#slab.length - this.#at) this.#startSlab(bound)
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
   * Writes all PDUs now, even to a blocked stream, unless a prompt PDU is stale: during a standstill of the process, the
   * facts on which that PDU depends (a subscriber's consent) may have changed.
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

  #startSlab(bound: number) {
    this.#cutPiece()
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, bound))
    this.#from = 0
    this.#at = 0
  }
}
