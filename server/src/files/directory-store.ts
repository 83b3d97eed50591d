import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import type { Config } from '../config/config.ts'

/** A stored part of a file. */
export type FilePart = { name: string; bytes: number }

/**
 * Files in a directory, each of which consists of parts in one folder. A part has a name of its own, so a process that was thought
 * dead cannot change the parts of another one.
 */
export class DirectoryStore {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Stores a part and returns it when it is durable; rejects with the error of the disk, or of `source`, and leaves nothing. */
  async addPart(folder: string, source: AsyncIterable<Buffer>): Promise<FilePart> {
    const path = join(this.#directory, folder)
    const isNew = (await mkdir(path, { recursive: true, mode: 0o700 })) !== undefined
    const name = `${randomUUID()}.part`
    const file = await open(join(path, name), 'wx', 0o600)
    try {
      await file.writeFile(source)
      await file.sync()
      const { size } = await file.stat()
      await file.close()
      await syncFolder(path)
      if (isNew) await syncFolder(join(path, '..'))
      return { name, bytes: size }
    } catch (error) {
      await file.close().catch(() => {})
      await rm(join(path, name), { force: true })
      throw error
    }
  }

  /** Returns whether all parts of a file exist with their sizes. */
  async has(folder: string, parts: readonly FilePart[]): Promise<boolean> {
    for (const { name, bytes } of parts) {
      const found = await stat(join(this.#directory, folder, name)).catch(() => undefined)
      if (found?.size !== bytes) return false
    }
    return true
  }

  /** Returns the bytes `from` to `to`, inclusive, of a file with these parts. */
  read(folder: string, parts: readonly FilePart[], from: number, to: number): Readable {
    const directory = join(this.#directory, folder)
    return Readable.from(readParts(directory, parts, from, to)).pipe(new PassThrough())
  }

  /** Deletes the parts of a folder except these. */
  async keepOnly(folder: string, parts: readonly FilePart[]): Promise<void> {
    const path = join(this.#directory, folder)
    const kept = new Set(parts.map(({ name }) => name))
    for (const name of await readdir(path).catch(() => [])) {
      if (!kept.has(name)) await rm(join(path, name), { force: true })
    }
  }

  /** Deletes a folder with all its parts, if it exists. */
  async delete(folder: string): Promise<void> {
    await rm(join(this.#directory, folder), { recursive: true, force: true })
  }
}

/** Returns the store of this installation. */
export function fileStoreOf({ filesDir }: Pick<Config, 'filesDir'>): DirectoryStore {
  return new DirectoryStore(filesDir)
}

async function* readParts(directory: string, parts: readonly FilePart[], from: number, to: number) {
  let start = 0
  for (const { name, bytes } of parts) {
    const end = start + bytes - 1
    if (bytes > 0 && end >= from && start <= to) {
      const range = { start: Math.max(0, from - start), end: Math.min(to, end) - start }
      yield* createReadStream(join(directory, name), range)
    }
    start += bytes
  }
}

/** Makes new names in a folder durable; systems without that make them durable by themselves. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => {})
  await folder?.close()
}
