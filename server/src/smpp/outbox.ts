import type { Duplex } from 'node:stream'
import { encodedBound, encodePduInto } from './pdu/codec.ts'
import type { Pdu } from './pdu/pdu.ts'

const SLAB = 64 * 1024

/**
 * The writing side of a session. PDUs are encoded straight into a slab; what one turn of the event loop produced leaves in
 * one write, and nothing is handed to a stream that asks us to wait. A slab is never written twice, so no bytes move.
 */
export class Outbox {
  readonly #stream: Duplex
  readonly #onFlush: () => void
  readonly #staleMs: number
  #slab = Buffer.allocUnsafeSlow(SLAB)
  #from = 0
  #at = 0
  #pieces: Buffer[] = []
  #piecesLength = 0
  #scheduled = false
  #blocked = false
  // when the first of what this turn of the event loop produced was added (monotonic milliseconds)
  #scheduledAt = 0

  /**
   * `onFlush` is called whenever nothing waits here any more: all of it has been handed to the stream. A process that
   * stood still for `staleMs` between a PDU and its write must not believe any more what it knew when it made the PDU:
   * the stream is destroyed instead.
   */
  constructor(stream: Duplex, onFlush: () => void, staleMs = Number.POSITIVE_INFINITY) {
    this.#stream = stream
    this.#onFlush = onFlush
    this.#staleMs = staleMs
    stream.on('drain', () => {
      this.#blocked = false
      this.flush()
    })
  }

  /** Bytes that the peer's side has not taken yet: ours and those inside the stream. */
  get backlog(): number {
    return this.#piecesLength + this.#at - this.#from + this.#stream.writableLength
  }

  /** Takes the PDU for the next write. Throws PduError, with nothing taken, when it cannot be encoded. */
  add(pdu: Pdu) {
    const bound = encodedBound(pdu)
    if (bound > this.#slab.length - this.#at) this.#turnSlab(bound)
    this.#at = encodePduInto(this.#slab, this.#at, pdu)
    if (this.#scheduled || this.#blocked) return
    this.#scheduled = true
    this.#scheduledAt = performance.now()
    setImmediate(this.#flushScheduled)
  }

  #flushScheduled = () => {
    this.#scheduled = false
    if (performance.now() - this.#scheduledAt < this.#staleMs) this.flush()
    else this.#stream.destroy(new Error('stood still before it could write'))
  }

  /** Hands everything to the stream now, even if it asked us to wait. */
  flush() {
    if (this.#stream.destroyed || this.#stream.writableEnded) return
    this.#cutPiece()
    if (this.#pieces.length > 0) {
      const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces)
      this.#pieces = []
      this.#piecesLength = 0
      this.#blocked = !this.#stream.write(bytes)
    }
    this.#onFlush()
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
