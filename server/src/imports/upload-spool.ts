import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errors } from '../errors.ts'
import { SharedBudget } from '../lib/shared-budget.ts'

/** Size up to which rows stay in memory: those of usual files, 10,000 rows, never reach the disk. */
const memoryBytes = 1_000_000

/** Free space that uploads leave on the disk, which may be that of the database: a gigabyte, or 5 % of a small disk. */
const reservedBytes = 1_000_000_000
const reservedShare = 0.05

/** Copies of the rows that the database may write to the same disk: their table with its index, and the log. */
const copies = 2

/** Free bytes of a disk, and its size. */
export type DiskSpace = { free: number; size: number }

/** The space on disk for the rows of all unfinished uploads of a process, of which one account gets at most half. */
export class UploadSpace {
  readonly folder: string
  readonly #bytes: number
  readonly #budget: SharedBudget<number>
  readonly #onFullDisk: () => void
  readonly #spaceOf: (folder: string) => Promise<DiskSpace>

  /** `onFullDisk` is called for each upload that is rejected because the disk is almost full. */
  constructor(folder: string, bytes: number, onFullDisk: () => void, spaceOf = readDiskSpace) {
    this.folder = folder
    this.#bytes = bytes
    this.#budget = new SharedBudget(bytes)
    this.#onFullDisk = onFullDisk
    this.#spaceOf = spaceOf
  }

  /**
   * Takes bytes for an upload of the account that has taken `size` already. Throws a 413 if the upload alone is too large, and
   * a 503 if the account, or all accounts together, have too much at the moment.
   */
  take(accountId: number, bytes: number, size: number): void {
    if (this.#budget.take(accountId, bytes)) return
    throw 2 * (size + bytes) > this.#bytes ? errors.uploadTooLarge(this.#bytes / 2) : errors.uploadSpaceFull()
  }

  /** Releases bytes that an upload has taken. */
  release(accountId: number, bytes: number): void {
    this.#budget.release(accountId, bytes)
  }

  /** Throws a 503 if the disk has too little free space for the uploads that have taken bytes and for what the database writes. */
  async rejectFullDisk(): Promise<void> {
    const { free, size } = await this.#spaceOf(this.folder)
    const reserved = Math.min(reservedBytes, size * reservedShare)
    if (free < reserved + copies * (this.#bytes - this.#budget.free)) throw this.fullDisk()
  }

  /** Returns the 503 for an upload that the disk has no space for. */
  fullDisk(): Error {
    this.#onFullDisk()
    return errors.uploadSpaceFull()
  }

  /** Returns a new file without a name: it disappears with the process. */
  async createFile(): Promise<FileHandle> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 })
    const path = join(this.folder, randomUUID())
    const file = await open(path, 'wx+', 0o600)
    await unlink(path)
    return file
  }
}

async function readDiskSpace(folder: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(folder)
  return { free: bavail * bsize, size: blocks * bsize }
}

/**
 * Stores the rows of one upload until its client has sent the whole file: in memory, and from a megabyte on in a file. The
 * database is not used meanwhile, so a slow client costs no connection and no open transaction.
 */
export class UploadSpool {
  readonly #space: UploadSpace
  readonly #accountId: number
  #blocks: Buffer[] = []
  #inMemory = 0
  #size = 0
  #file: FileHandle | undefined

  constructor(space: UploadSpace, accountId: number) {
    this.#space = space
    this.#accountId = accountId
  }

  /** Number of bytes stored. */
  get size(): number {
    return this.#size
  }

  /** Stores all blocks; throws a 413 or a 503 if they need too much space. */
  async fill(blocks: AsyncIterable<string>): Promise<void> {
    for await (const text of blocks) {
      const block = Buffer.from(text)
      this.#space.take(this.#accountId, block.length, this.#size)
      this.#size += block.length
      this.#blocks.push(block)
      this.#inMemory += block.length
      if (this.#inMemory >= memoryBytes) await this.#flush()
    }
  }

  /** Yields all bytes in their order. */
  async *read(): AsyncGenerator<Buffer> {
    if (this.#file !== undefined) {
      yield* this.#file.createReadStream({ start: 0, autoClose: false, highWaterMark: 262_144 })
    }
    yield* this.#blocks
  }

  /** Deletes everything. */
  async close(): Promise<void> {
    this.#blocks = []
    this.#space.release(this.#accountId, this.#size)
    this.#size = 0
    await this.#file?.close()
  }

  async #flush(): Promise<void> {
    this.#file ??= await this.#space.createFile()
    await this.#space.rejectFullDisk()
    const bytes = Buffer.concat(this.#blocks)
    this.#blocks = []
    this.#inMemory = 0
    try {
      await this.#file.appendFile(bytes)
    } catch (error) {
      throw isDiskFull(error) ? this.#space.fullDisk() : error
    }
  }
}

function isDiskFull(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return code === 'ENOSPC' || code === 'EDQUOT'
}
