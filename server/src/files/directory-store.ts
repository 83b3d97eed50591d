import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { type AddedParts, type FilePart, type FileStore, StoreError } from './file-store.ts'

/**
 * Files in a directory, each of which consists of parts in one folder. A part has a name of its own, so a process that was thought
 * dead cannot change the parts of another one.
 */
export class DirectoryStore implements FileStore {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  async append(folder: string, _last: readonly FilePart[], content: AsyncIterable<Buffer>): Promise<AddedParts> {
    const path = join(this.#directory, folder)
    const name = `${randomUUID()}.part`
    const bytes = await orStoreError(async () => {
      const created = await mkdir(path, { recursive: true, mode: 0o700 })
      const file = await open(join(path, name), 'wx', 0o600)
      try {
        await writeAll(file, content)
        await file.sync()
        const { size } = await file.stat()
        await file.close()
        for (const each of this.#foldersAbove(path, created)) await syncFolder(each)
        return size
      } catch (error) {
        await file.close().catch(() => {})
        await rm(join(path, name), { force: true })
        throw error
      }
    })
    return { replaced: 0, added: [{ name, bytes }] }
  }

  /**
   * Returns a part's folder and the folders above it, up to the parent of the first one that was created, at least of the store's
   * directory: an earlier call may have created folders and failed before it could make them durable.
   */
  #foldersAbove(path: string, created: string | undefined): string[] {
    const highest = [this.#directory, created ?? this.#directory].map((each) => dirname(resolve(each)).length)
    const folders = [resolve(path)]
    for (
      let at = dirname(resolve(path));
      at.length >= Math.min(...highest) && at !== folders.at(-1);
      at = dirname(at)
    ) {
      folders.push(at)
    }
    return folders
  }

  async finish(folder: string, parts: readonly FilePart[]): Promise<FilePart[]> {
    if (!(await this.has(folder, parts))) throw new StoreError(...missingParts)
    const path = join(this.#directory, folder)
    const kept = new Set(parts.map(({ name }) => name))
    for (const name of await readdir(path).catch(() => [])) {
      if (!kept.has(name)) await orStoreError(() => rm(join(path, name), { force: true }))
    }
    return [...parts]
  }

  async has(folder: string, parts: readonly FilePart[]): Promise<boolean> {
    for (const { name, bytes } of parts) {
      const found = await stat(join(this.#directory, folder, name)).catch(() => undefined)
      if (found?.size !== bytes) return false
    }
    return true
  }

  async read(folder: string, parts: readonly FilePart[], from: number, to: number): Promise<Readable> {
    const directory = join(this.#directory, folder)
    // not through a pipe, which would throw the error of a file that is deleted meanwhile where nobody catches it
    return Readable.from(readParts(directory, parts, from, to), { objectMode: false })
  }

  async delete(folder: string): Promise<void> {
    await orStoreError(() => rm(join(this.#directory, folder), { recursive: true, force: true }))
  }
}

/** Writes the content to the end of a file; while a piece is written, the next one is read. */
async function writeAll(file: FileHandle, content: AsyncIterable<Buffer>): Promise<void> {
  let written: Promise<void> | undefined
  try {
    for await (const piece of content) {
      await written
      written = file.writeFile(piece)
      // reported by the next await
      written.catch(() => {})
    }
  } catch (error) {
    await written?.catch(() => {})
    throw error
  }
  await written
}

const missingParts = [
  'parts of the file are missing in the directory of files',
  'ENOENT',
  { isPermanent: true },
] as const

const faults: Record<string, string> = {
  ENOSPC: 'the disk of the files is full',
  EDQUOT: 'the disk quota of the files is used up',
  EFBIG: 'the file is too large for its disk',
  EACCES: 'the directory of files is not writable',
  EPERM: 'the directory of files is not writable',
  EROFS: 'the directory of files is not writable',
  ENOTDIR: 'the directory of files is not a directory',
}

/** Rejects with a StoreError instead of an error of the file system; other errors, such as those of the content, are unchanged. */
async function orStoreError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    if (code === undefined || (faults[code] === undefined && syscall === undefined)) throw error
    const fault = faults[code]
    throw new StoreError(fault ?? 'the directory of files cannot be used', code, {
      isPermanent: fault !== undefined,
      cause: error,
    })
  }
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
