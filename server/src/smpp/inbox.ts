import type { Duplex } from 'node:stream'
import { FrameError, Framer } from './framer.ts'

export type InboxEvents = {
  /** Octets arrived; called before their frames. */
  onOctets(): void
  onFrame(frame: Buffer): void
  /** All frames of one read were delivered. */
  onRead(): void
  /** The stream has an invalid command_length; no more frames follow. */
  onFrameError(error: FrameError): void
}

/** The reading side of a session: delivers whole PDUs in order, and none while it is paused. */
export class Inbox {
  readonly #stream: Duplex
  readonly #events: InboxEvents
  readonly #framer = new Framer()
  #frames: Buffer[] = []
  #error: FrameError | undefined
  #handling = false
  #paused = false
  #blocked = false
  #closed = false

  constructor(stream: Duplex, events: InboxEvents) {
    this.#stream = stream
    this.#events = events
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
  }

  get paused() {
    return this.#paused
  }

  /** Delivers no more frames until resume(), including the rest of the current read. */
  pause() {
    this.#paused = true
    this.#stream.pause()
  }

  resume() {
    if (!this.#paused) return
    this.#paused = false
    this.#handle()
    this.#flow()
  }

  /** Stops or resumes reading from the stream; frames that were already read are still delivered. */
  setBlocked(blocked: boolean) {
    if (blocked === this.#blocked) return
    this.#blocked = blocked
    if (blocked) this.#stream.pause()
    else this.#flow()
  }

  /** Delivers no more frames, but continues to read so that the stream can end. */
  close() {
    this.#closed = true
    this.#frames = []
    this.#stream.resume()
  }

  #flow() {
    if (!this.#paused && !this.#blocked) this.#stream.resume()
  }

  #read(chunk: Buffer) {
    if (this.#closed || this.#error) return
    this.#events.onOctets()
    try {
      const frames = this.#framer.push(chunk)
      this.#frames = this.#frames.length === 0 ? frames : this.#frames.concat(frames)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#frames.push(...error.frames)
      this.#error = error
    }
    this.#handle()
  }

  #handle() {
    // a listener may call resume() from within onFrame: the outer loop continues
    if (this.#handling) return
    this.#handling = true
    let handled = 0
    try {
      while (handled < this.#frames.length && !this.#paused) this.#events.onFrame(this.#frames[handled++] as Buffer)
    } finally {
      this.#handling = false
      this.#frames = handled < this.#frames.length ? this.#frames.slice(handled) : []
    }
    this.#events.onRead()
    if (this.#error && this.#frames.length === 0 && !this.#paused && !this.#closed)
      this.#events.onFrameError(this.#error)
  }
}
