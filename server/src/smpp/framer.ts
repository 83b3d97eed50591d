import { commandStatus } from './pdu/command-status.ts'

/** The stream is no longer a stream of PDUs. `frames` are the whole ones that came before the fault. */
export class FrameError extends Error {
  override name = 'FrameError'
  readonly command_status = commandStatus.ESME_RINVCMDLEN
  readonly frames: Buffer[]

  constructor(length: number, frames: Buffer[]) {
    super(`command_length ${length} cannot be`)
    this.frames = frames
  }
}

const SHORTEST = 16
// The largest legal PDU is a message_payload of 64 KB (§5.3.2.32) plus mandatory fields and some TLVs.
const LONGEST = 64 * 1024 + 4 * 1024

/** Cuts a byte stream into whole PDUs by their command_length (SMPP 3.4 §3.2). Frames are views, not copies. */
export class Framer {
  readonly #longest: number
  #held: Buffer[] = []
  #heldLength = 0
  #needed = 4

  constructor(longest = LONGEST) {
    this.#longest = longest
  }

  /** The PDUs that this chunk completes. Throws FrameError on an impossible length; the stream is lost from there on. */
  push(chunk: Buffer): Buffer[] {
    if (this.#heldLength === 0) return this.#cut(chunk)
    this.#held.push(chunk)
    this.#heldLength += chunk.length
    if (this.#heldLength < this.#needed) return []
    const bytes = Buffer.concat(this.#held, this.#heldLength)
    this.#held = []
    this.#heldLength = 0
    return this.#cut(bytes)
  }

  #cut(bytes: Buffer): Buffer[] {
    const frames: Buffer[] = []
    let at = 0
    this.#needed = 4
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32BE(at)
      if (length < SHORTEST || length > this.#longest) throw new FrameError(length, frames)
      if (bytes.length - at < length) {
        this.#needed = length
        break
      }
      frames.push(bytes.subarray(at, at + length))
      at += length
    }
    if (at < bytes.length) {
      this.#held = [at === 0 ? bytes : bytes.subarray(at)]
      this.#heldLength = bytes.length - at
    }
    return frames
  }
}
