import type { Duplex } from 'node:stream'
import { FrameError, Framer } from './framer.ts'

export type InboxEvents = {
  /** Something came; called before any frame of it. */
  onHeard(): void
  onFrame(frame: Buffer): void
  /** All frames of one read have been handed on. */
  onRead(): void
  /** The stream is no longer a stream of PDUs. */
  onFault(error: FrameError): void
}

/** The reading side of a session: whole PDUs in order, and none while somebody holds it back. */
export class Inbox {
  readonly #stream: Duplex
  readonly #events: InboxEvents
  readonly #framer = new Framer()
  #frames: Buffer[] = []
  #fault: FrameError | undefined
  #handling = false
  #paused = false
  #choked = false
  #closed = false

  constructor(stream: Duplex, events: InboxEvents) {
    this.#stream = stream
    this.#events = events
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
  }

  get paused() {
    return this.#paused
  }

  /** Holds everything from here on, the rest of the current read included. */
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

  /** Stops or goes on reading new bytes, while what was read is still handed on. */
  choke(choked: boolean) {
    if (choked === this.#choked) return
    this.#choked = choked
    if (choked) this.#stream.pause()
    else this.#flow()
  }

  /** Hands on nothing any more, but reads on so that the stream can end. */
  close() {
    this.#closed = true
    this.#frames = []
    this.#stream.resume()
  }

  #flow() {
    if (!this.#paused && !this.#choked) this.#stream.resume()
  }

  #read(chunk: Buffer) {
    if (this.#closed || this.#fault) return
    this.#events.onHeard()
    try {
      const frames = this.#framer.push(chunk)
      this.#frames = this.#frames.length === 0 ? frames : this.#frames.concat(frames)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#frames.push(...error.frames)
      this.#fault = error
    }
    this.#handle()
  }

  #handle() {
    // A listener may resume() from within a frame: the outer loop goes on.
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
    if (this.#fault && this.#frames.length === 0 && !this.#paused && !this.#closed) this.#events.onFault(this.#fault)
  }
}
