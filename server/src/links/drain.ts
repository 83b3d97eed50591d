import { open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isDatabaseUnavailable, isOutOfResources } from '../db/pg-errors.ts'
import type { Runtime } from '../runtime.ts'
import { newFileMs, readClicks } from './click-spool.ts'
import { storeClicks } from './clicks.ts'
import { deleteSpool, lockSpool, moveSpool } from './spools.queries.ts'

/** Bytes of a file that one transaction stores: about 450 clicks, which take 2 ms of the event loop, in which nothing is redirected. */
const sliceBytes = 20_000
/** Age from which no process appends to a file any more. */
const finishedMs = 2 * newFileMs
/** Pause between two log lines about a file that fails in each round: it is retried every second, until a person repairs it. */
const logAgainMs = 600_000

type Rt = Pick<Runtime, 'db' | 'log'>

/**
 * Stores the clicks in a directory's files. How far a file is stored commits with its clicks, so each click is counted once,
 * whenever a process is killed and however many processes store the files of one directory.
 */
export class ClickDrain {
  readonly #rt: Rt
  readonly #folder: string
  /** How far the files are stored, so that a round without new clicks needs no database. */
  readonly #stored = new Map<string, number>()
  /** When the failure of a file was last logged, in milliseconds since 1970. */
  readonly #loggedAt = new Map<string, number>()

  constructor(rt: Rt, folder: string) {
    this.#rt = rt
    this.#folder = folder
  }

  /**
   * Stores what the files contain now, oldest first, and deletes those that are complete. A file that fails is logged, and the
   * others are stored; throws only if the folder cannot be read, or the database fails for every file.
   */
  async round(): Promise<void> {
    const names = await readdir(this.#folder).catch((error): string[] => {
      if (isMissing(error)) return []
      throw error
    })
    for (const known of [this.#stored, this.#loggedAt])
      for (const name of known.keys()) if (!names.includes(name)) known.delete(name)
    for (const name of names.filter((name) => name.endsWith('.clicks')).sort()) {
      try {
        await this.#drain(name)
        this.#loggedAt.delete(name)
      } catch (error) {
        // another process has deleted it
        if (isMissing(error)) continue
        if (isDatabaseUnavailable(error) || isOutOfResources(error)) throw error
        this.#logFailure(name, error)
      }
    }
  }

  #logFailure(name: string, error: unknown): void {
    const now = Date.now()
    if (now - (this.#loggedAt.get(name) ?? 0) < logAgainMs) return
    this.#loggedAt.set(name, now)
    this.#rt.log.error({ file: name, err: error }, 'a file of clicks cannot be stored, retrying')
  }

  async #drain(name: string): Promise<void> {
    const path = join(this.#folder, name)
    const found = await stat(path)
    while ((this.#stored.get(name) ?? -1) < found.size) {
      const { from, to } = (await this.#storeSlice(name, path)) ?? {}
      // another process stores it
      if (from === undefined || to === undefined) return
      this.#stored.set(name, to)
      if (to === from) break
    }
    if (Date.now() - found.mtimeMs < finishedMs) return
    const stored = this.#stored.get(name) ?? 0
    // the end of a line that was not written completely is no click, but a complete line may be one
    const end = await findLineEnd(path, stored)
    if (end === undefined) {
      await unlink(path)
      await deleteSpool(this.#rt.db, name)
      this.#stored.delete(name)
    } else if (end - stored >= sliceBytes) {
      // the row of the file remains, so that a person can repair the file and give it its name again
      await rename(path, `${path}.damaged`)
      this.#rt.log.error({ file: name, from: stored, size: found.size }, 'file of clicks set aside, a line is too long')
    }
  }

  /** Stores the next clicks of a file; returns where they begin and end, or undefined if another process has locked it. */
  #storeSlice(name: string, path: string): Promise<{ from: number; to: number } | undefined> {
    return this.#rt.db.tx(async (tx) => {
      const from = await lockSpool(tx, name)
      if (from === undefined) return undefined
      const { clicks, length, damaged } = readClicks(await readBytes(path, from))
      if (damaged > 0) this.#rt.log.error({ file: name, from, damaged }, 'damaged lines of clicks skipped')
      if (clicks.length > 0) await storeClicks(tx, clicks)
      if (length > 0) await moveSpool(tx, name, from + length)
      return { from, to: from + length }
    })
  }
}

async function readBytes(path: string, from: number): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(sliceBytes), 0, sliceBytes, from)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Returns the position of the first line feed at or after `from`; undefined if no line ends there. */
async function findLineEnd(path: string, from: number): Promise<number | undefined> {
  for (let start = from; ; ) {
    const bytes = await readBytes(path, start)
    const index = bytes.indexOf('\n')
    if (index >= 0) return start + index
    if (bytes.length === 0) return undefined
    start += bytes.length
  }
}

/** Returns whether a file does not exist; a socket of the database that does not is an error of `connect`. */
const isMissing = (error: unknown) => {
  const { code, syscall } = error as NodeJS.ErrnoException
  return code === 'ENOENT' && syscall !== 'connect'
}
