import { rawLines, readRawLine } from '../../../src/simulator/raw-file.ts'

/** The times at which the carrier accepted texts, by content; each call reads only the new part of the raw file. */
export class AcceptedTexts {
  readonly #path: string
  #offset = 0
  readonly #times = new Map<string, number[]>()

  constructor(path: string) {
    this.#path = path
  }

  /** Returns when the carrier accepted the n-th text with this content, or undefined if it has not. */
  timeOf(content: string, n: number): number | undefined {
    for (const line of rawLines(this.#path, this.#offset)) {
      const record = readRawLine(line)
      if (!record) break // not yet complete
      this.#offset += line.length + 1
      const times = this.#times.get(record.shortMessage)
      if (times) times.push(record.time)
      else this.#times.set(record.shortMessage, [record.time])
    }
    return this.#times.get(Buffer.from(content, 'latin1').toString('hex'))?.[n - 1]
  }
}
