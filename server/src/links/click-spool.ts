import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Click } from './clicks.ts'

// Clicks are appended to a file before they are redirected, so that they are counted even if the database is away, or this
// process is killed. `drain.ts` stores them.

/** Time after which a new file begins, so that the former one can be deleted when it is stored. */
export const newFileMs = 600_000

type Waiting = { line: string; resolve(): void; reject(error: unknown): void }
type OpenFile = { handle: FileHandle; size: number; openedAt: number }

/** Appends clicks to files in a directory, which no other process appends to. */
export class ClickSpool {
  readonly #folder: string
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #file: OpenFile | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Appends a click; resolves when it is durable, and throws if it is not. Clicks that come at a time share one fsync. */
  append(click: Click): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: lineOf(click), resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when the clicks that wait are durable, and closes the file. */
  async close(): Promise<void> {
    await this.#running
    await this.#file?.handle.close()
    this.#file = undefined
  }

  async #run(): Promise<void> {
    // the clicks of one turn of the event loop
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const batch = this.#waiting
      this.#waiting = []
      try {
        await this.#write(Buffer.from(batch.map(({ line }) => line).join('')))
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#running = undefined
  }

  async #write(bytes: Buffer): Promise<void> {
    const file = await this.#open()
    try {
      await file.handle.writeFile(bytes)
      await file.handle.datasync()
      file.size += bytes.length
    } catch (error) {
      // these clicks are not redirected, so they must not be counted, nor be the beginning of another line
      this.#file = undefined
      await file.handle.truncate(file.size).catch(() => {})
      await file.handle.close().catch(() => {})
      throw error
    }
  }

  async #open(): Promise<OpenFile> {
    // not the monotonic clock: it stands still while the machine sleeps, and `drain.ts` compares the time of the file
    const now = Date.now()
    const age = this.#file ? now - this.#file.openedAt : undefined
    if (this.#file && age !== undefined && age >= 0 && age < newFileMs) return this.#file
    await this.#file?.handle.close()
    this.#file = undefined
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const handle = await open(join(this.#folder, `${now}-${randomUUID()}.clicks`), 'ax', 0o600)
    // the name of the file, and of the folder, which may be new
    for (const path of [this.#folder, dirname(this.#folder)]) {
      const folder = await open(path, 'r')
      await folder.sync().finally(() => folder.close())
    }
    this.#file = { handle, size: 0, openedAt: now }
    return this.#file
  }
}

function lineOf({ linkId, phone, clickedAt, rule }: Click): string {
  return `${JSON.stringify([linkId, phone, clickedAt.getTime(), rule])}\n`
}

/**
 * Returns the clicks of the complete lines at the start of these bytes, their length in bytes, and the number of damaged lines.
 * A line without an end was being written when its process was killed, and its click was not redirected.
 */
export function readClicks(bytes: Buffer): { clicks: Click[]; length: number; damaged: number } {
  const length = bytes.lastIndexOf('\n') + 1
  const lines = bytes.toString('utf8', 0, length).split('\n').slice(0, -1)
  const clicks = lines.flatMap((line) => readLine(line) ?? [])
  return { clicks, length, damaged: lines.length - clicks.length }
}

function readLine(line: string): Click | undefined {
  try {
    const [linkId, phone, at, rule] = JSON.parse(line)
    const isWhole = [linkId, phone, at].every((number) => Number.isSafeInteger(number) && number >= 0)
    const isRule = rule === null || rule === 'head' || rule === 'prefetch' || rule === 'scanner'
    const clickedAt = new Date(at)
    const isTime = !Number.isNaN(clickedAt.getTime())
    return isWhole && isTime && isRule ? { linkId, phone, clickedAt, rule } : undefined
  } catch {
    return undefined
  }
}
