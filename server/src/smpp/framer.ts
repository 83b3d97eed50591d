import { commandStatus } from './pdu/command-status.ts'

/** An invalid command_length. `frames` contains the whole PDUs before it. */
export class FrameError extends Error {
  override name = 'FrameError'
  readonly command_status = commandStatus.ESME_RINVCMDLEN
  readonly frames: Buffer[]

  constructor(length: number, frames: Buffer[]) {
    super(`command_length ${length} is out of range`)
    this.frames = frames
  }
}

const MIN_LENGTH = 16
// The largest legal PDU is a message_payload of 64 KB (§5.3.2.32) plus mandatory fields and some TLVs.
const MAX_LENGTH = 64 * 1024 + 4 * 1024

/** Cuts a byte stream into whole PDUs by their command_length (SMPP 3.4 §3.2). Frames are views, not copies. */
export class Framer {
  readonly #maxLength: number
  #pieces: Buffer[] = []
  #piecesLength = 0
  #needed = 4

  constructor(maxLength = MAX_LENGTH) {
    this.#maxLength = maxLength
  }

  /** Returns the PDUs that this chunk completes. Throws FrameError for an invalid length; the framer is then unusable. */
  push(chunk: Buffer): Buffer[] {
    if (this.#piecesLength === 0) return this.#cut(chunk)
    this.#pieces.push(chunk)
    this.#piecesLength += chunk.length
    if (this.#piecesLength < this.#needed) return []
    const bytes = Buffer.concat(this.#pieces, this.#piecesLength)
    this.#pieces = []
    this.#piecesLength = 0
    return this.#cut(bytes)
  }

  #cut(bytes: Buffer): Buffer[] {
    const frames: Buffer[] = []
    let at = 0
    this.#needed = 4
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32BE(at)
      if (length < MIN_LENGTH || length > this.#maxLength) throw new FrameError(length, frames)
      if (bytes.length - at < length) {
        this.#needed = length
        break
      }
      frames.push(bytes.subarray(at, at + length))
      at += length
    }
    if (at < bytes.length) {
      this.#pieces = [at === 0 ? bytes : bytes.subarray(at)]
      this.#piecesLength = bytes.length - at
    }
    return frames
  }
}
