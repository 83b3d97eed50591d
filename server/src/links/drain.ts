import { open, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Runtime } from '../runtime.ts'
import { newFileMs, readClicks } from './click-spool.ts'
import { storeClicks } from './clicks.ts'
import { deleteSpool, lockSpool, moveSpool } from './spools.queries.ts'

/** Bytes of a file that one transaction stores: about 450 clicks, which take 2 ms of the event loop, in which nothing is redirected. */
const sliceBytes = 20_000
/** Age from which no process appends to a file any more. */
const finishedMs = 2 * newFileMs

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

  constructor(rt: Rt, folder: string) {
    this.#rt = rt
    this.#folder = folder
  }

  /** Stores what the files contain now, oldest first, and deletes those that are complete. */
  async round(): Promise<void> {
    const names = await readdir(this.#folder).catch((error): string[] => {
      if (isMissing(error)) return []
      throw error
    })
    for (const name of this.#stored.keys()) if (!names.includes(name)) this.#stored.delete(name)
    for (const name of names.filter((name) => name.endsWith('.clicks')).sort()) await this.#drain(name)
  }

  async #drain(name: string): Promise<void> {
    const path = join(this.#folder, name)
    const found = await stat(path).catch(() => undefined)
    if (!found) return
    while ((this.#stored.get(name) ?? -1) < found.size) {
      const { from, to } = (await this.#storeSlice(name, path)) ?? {}
      // another process stores it
      if (from === undefined || to === undefined) return
      this.#stored.set(name, to)
      if (to === from) break
    }
    if (Date.now() - found.mtimeMs < finishedMs) return
    await unlink(path)
    await deleteSpool(this.#rt.db, name)
    this.#stored.delete(name)
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

const isMissing = (error: unknown) => (error as { code?: string }).code === 'ENOENT'
