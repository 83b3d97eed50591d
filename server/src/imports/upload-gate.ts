/**
 * Runs at most `limit` uploads at a time; the others wait, and their bodies are not read. An upload uses a database
 * connection until its client has sent the file, and the other requests of the process need connections, too.
 */
export class UploadGate {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(limit: number) {
    this.#free = limit
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
