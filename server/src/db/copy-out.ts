import type { Duplex } from 'node:stream'
import type pg from 'pg'

/**
 * Receives the rows of a binary COPY, each as its bytes from the number of its fields on, which are valid until it returns. Returns
 * whether it has enough rows for now.
 */
export type OnCopiedRow = (row: Buffer) => boolean

/**
 * Runs `copy (...) to stdout (format binary)` and gives each row to `onRow`. Yields, with the network stream paused, each time that
 * `onRow` has enough rows. If the iteration ends early, or `onRow` throws, the rest is skipped, so that the connection works again.
 *
 * PostgreSQL sends each row as a message. pg's own parser returns these without copying them; the streams of pg-copy-streams take longer
 * for a row than PostgreSQL.
 */
export async function* copyOut(client: pg.ClientBase, text: string, onRow: OnCopiedRow): AsyncGenerator<void> {
  const query = client.query(new CopyOut(text, onRow))
  try {
    while (await query.next()) yield
  } finally {
    await query.skipRest()
  }
}

type Connection = { stream: Duplex; query(text: string): void }

const signatureBytes = 11
const trailer = -1

class CopyOut implements pg.Submittable {
  readonly #text: string
  readonly #onRow: OnCopiedRow
  #stream: Duplex | undefined
  #isFirst = true
  #isSkipping = false
  #hasEnough = false
  #isComplete = false
  #failure: Error | undefined
  #wake = () => {}

  constructor(text: string, onRow: OnCopiedRow) {
    this.#text = text
    this.#onRow = onRow
  }

  /** Resolves to true when there are enough rows, and to false when there are no more; rejects if the COPY or `onRow` fails. */
  async next(): Promise<boolean> {
    await this.#until(() => this.#hasEnough || this.#isComplete)
    if (this.#failure) throw this.#failure
    this.#hasEnough = false
    return !this.#isComplete
  }

  async skipRest(): Promise<void> {
    this.#isSkipping = true
    await this.#until(() => this.#isComplete)
  }

  async #until(condition: () => boolean): Promise<void> {
    this.#stream?.resume()
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  // what pg calls

  submit(connection: pg.Connection): void {
    const { stream } = connection as unknown as Connection
    this.#stream = stream
    ;(connection as unknown as Connection).query(this.#text)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    if (this.#isSkipping) return
    const row = this.#isFirst ? chunk.subarray(signatureBytes + 8 + chunk.readUInt32BE(signatureBytes + 4)) : chunk
    this.#isFirst = false
    if (row.length < 2 || row.readInt16BE(0) === trailer) return
    try {
      if (!this.#onRow(row) || this.#hasEnough) return
      this.#hasEnough = true
      this.#stream?.pause()
      this.#wake()
    } catch (error) {
      this.#isSkipping = true
      this.#failure = error as Error
    }
  }

  handleError(error: Error): void {
    this.#failure ??= error
    this.#complete()
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#complete()
  }

  #complete(): void {
    this.#isComplete = true
    this.#wake()
  }
}

// fields of a row

/** Returns the length of the field at `at`, whose value begins four bytes behind that; -1 is null. */
export const fieldLength = (row: Buffer, at: number): number => row.readInt32BE(at)

/** Returns a smallint, an integer or a bigint, rounded if it is not safe. */
export function integerAt(row: Buffer, at: number, length: number): number {
  if (length === 8) return row.readInt32BE(at) * 4_294_967_296 + row.readUInt32BE(at + 4)
  return length === 4 ? row.readInt32BE(at) : row.readInt16BE(at)
}

/** The microseconds from 1970 to 2000, when the times of PostgreSQL begin. */
const epochMicros = 946_684_800_000_000

/** Returns a timestamptz as microseconds since 1970. */
export const microsAt = (row: Buffer, at: number): number => integerAt(row, at, 8) + epochMicros
