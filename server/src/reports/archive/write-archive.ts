import { createHash, randomUUID } from 'node:crypto'
import { findByKeys } from '../../db/by-keys.ts'
import type { Db } from '../../db/db.ts'
import type { FileStore } from '../../files/file-store.ts'
import { fileStoreOf } from '../../files/installed-store.ts'
import type { ParquetValue } from '../../files/parquet-columns.ts'
import { writeParquet } from '../../files/parquet-writer.ts'
import type { Runtime } from '../../runtime.ts'
import { type LogRange, listRanges } from '../momt-slices.queries.ts'
import { archiveColumns, at } from './archive-columns.ts'
import { findNextAccount, listMessages, type ReadRow, readRows } from './archive-slices.queries.ts'
import {
  type ArchiveCursor,
  type ArchiveGroup,
  addFile,
  findCursor,
  type LeasedDay,
  renewLease,
  setOpenFolder,
} from './archives.queries.ts'

// Writes the files of a day: each has rows of one account, in the order of a MOMT report, so that a report of a removed day reads them
// from one place on. A file commits with the cursor, so a killed worker loses the file that it was writing.

export type ArchiveSizes = {
  /** Rows of a file, about. */
  fileRows: number
  /** Rows of a row group, about: what is in memory. */
  groupRows: number
}

const messagesPerPage = 1_000
/** Behind all rows of a message. */
const endOfMessage = Number.MAX_SAFE_INTEGER

export type ArchiveRt = Pick<Runtime, 'db' | 'config' | 'log' | 'clock'>

/** An error of a row that is not final, although its message is closed. */
export class OpenRowError extends Error {}

/** Writes the files of a day that are missing; throws OpenRowError if a row is still open, and a StoreError if the store fails. */
export async function writeFiles(
  rt: ArchiveRt,
  lease: LeasedDay,
  sizes: ArchiveSizes,
  signal: AbortSignal,
): Promise<void> {
  const store = fileStoreOf(rt.config)
  if (lease.openFolder !== null) {
    await store.delete(lease.openFolder)
    await setOpenFolder(rt.db, lease, null)
  }
  let cursor = await findCursor(rt.db, lease.day)
  for (;;) {
    const next = cursor.accountId > 0 ? await writeFile(rt, store, lease, cursor, sizes, signal) : undefined
    if (next) {
      cursor = next
      continue
    }
    const accountId = await findNextAccount(rt.db, lease.day, cursor.accountId)
    if (accountId === undefined) return
    cursor = { accountId, at: new Date(0), messageId: 0, logId: 0 }
  }
}

/** Writes the next file of an account, and returns where its last row is; undefined if the account has no further rows. */
async function writeFile(
  rt: ArchiveRt,
  store: FileStore,
  lease: LeasedDay,
  from: ArchiveCursor,
  sizes: ArchiveSizes,
  signal: AbortSignal,
): Promise<ArchiveCursor | undefined> {
  const { db } = rt
  const read = new FileRows(db, lease, from, sizes, signal)
  if (!(await read.next())) return undefined
  const { day } = lease
  const folder = `message_log/${day}/${from.accountId}-${randomUUID()}`
  await setOpenFolder(db, lease, folder)
  const sha256 = createHash('sha256')
  const notes = { product: 'carillon', day, account_id: String(from.accountId) }
  const bytes = writeParquet(archiveColumns, read.groupsOfColumns(), notes)
  const { added } = await store.append(folder, [], hashed(bytes, sha256))
  const [part, ...others] = await store.finish(folder, added)
  if (!part || others.length > 0) throw new Error('a file of an archive must be one part')
  const { groups, rowCount, rowHash, states, end } = read
  const file = { accountId: from.accountId, folder, ...part, sha256: sha256.digest('hex') }
  await db.tx((tx) => addFile(tx, lease, { ...file, rowCount, rowHash: String(rowHash), states, groups }, end))
  return end
}

async function* hashed(bytes: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    hash.update(chunk)
    yield chunk
  }
}

const openStates: readonly unknown[] = ['queued', 'submitting', 'sent']

/** The rows of a file, read in slices, of which each is a short transaction. */
class FileRows {
  readonly groups: ArchiveGroup[] = []
  readonly states: Record<string, number> = {}
  rowCount = 0
  rowHash = 0n
  /** The place of the last row. */
  end: ArchiveCursor
  readonly #db: Db
  readonly #lease: LeasedDay
  readonly #sizes: ArchiveSizes
  readonly #signal: AbortSignal
  #rows: ReadRow[] = []
  #isEnd = false

  constructor(db: Db, lease: LeasedDay, from: ArchiveCursor, sizes: ArchiveSizes, signal: AbortSignal) {
    this.#db = db
    this.#lease = lease
    this.end = from
    this.#sizes = sizes
    this.#signal = signal
  }

  /** Reads the rows of the next row group; returns false if there are none. */
  async next(): Promise<boolean> {
    const { groupRows } = this.#sizes
    while (!this.#isEnd && this.#rows.length < groupRows) {
      this.#signal.throwIfAborted()
      await renewLease(this.#db, this.#lease)
      const { rows, end, isEnd } = await readSlice(this.#db, this.#lease.day, this.end, groupRows - this.#rows.length)
      this.#rows = this.#rows.concat(rows)
      this.end = end
      this.#isEnd = isEnd
    }
    return this.#rows.length > 0
  }

  async *groupsOfColumns(): AsyncGenerator<ParquetValue[][]> {
    do {
      const rows = this.#rows
      this.#rows = []
      this.#count(rows)
      yield archiveColumns.map((_, n) => rows.map(({ cells }) => cells[n] ?? null))
    } while (this.rowCount < this.#sizes.fileRows && (await this.next()))
  }

  #count(rows: readonly ReadRow[]): void {
    const [first] = rows
    if (!first) return
    this.groups.push({ rows: rows.length, ...placeOf(first) })
    this.rowCount += rows.length
    for (const { cells, hash } of rows) {
      const state = cells[at.state]
      if (openStates.includes(state)) throw new OpenRowError(`the text ${cells[at.id]} is still ${state}`)
      this.states[`${state}`] = (this.states[`${state}`] ?? 0) + 1
      this.rowHash += BigInt(hash)
    }
  }
}

const placeOf = ({ cells }: ReadRow) => ({
  at: new Date(Number(cells[at.acceptedAt]) / 1_000).toISOString(),
  messageId: Number(cells[at.messageId]),
  logId: Number(cells[at.id]),
})

/** Reads the rows behind a place, of up to this number of log ids; `end` is the place behind them. */
async function readSlice(db: Db, day: string, cursor: ArchiveCursor, rows: number) {
  const messages = await listMessages(db, day, cursor, messagesPerPage)
  const last = messages.at(-1)
  if (!last) return { rows: [], end: cursor, isEnd: true }
  const endOfPage = { ...cursor, at: last.at, messageId: last.id, logId: endOfMessage }
  return db.tx(async (tx) => {
    await findByKeys(tx)
    const { ranges, cutAt } = cutRanges(await listRanges(tx, day, messages), cursor, rows)
    const read = ranges.length > 0 ? await readRows(tx, day, ranges) : []
    if (!cutAt) return { rows: read, end: endOfPage, isEnd: messages.length < messagesPerPage }
    const message = messages.find(({ id }) => id === cutAt.messageId) ?? last
    return { rows: read, end: { ...cursor, at: message.at, messageId: message.id, logId: cutAt.last }, isEnd: false }
  })
}

/** Returns the ranges behind the cursor with up to `rows` log ids, and the last one if ids follow it. */
function cutRanges(all: LogRange[], cursor: ArchiveCursor, rows: number) {
  const ranges: LogRange[] = []
  let width = 0
  for (const range of all) {
    const first = range.messageId === cursor.messageId ? Math.max(range.first, cursor.logId + 1) : range.first
    if (first > range.last) continue
    const last = Math.min(range.last, first + rows - width - 1)
    if (last < first) return { ranges, cutAt: ranges.at(-1) }
    const taken = { ...range, first, last }
    ranges.push(taken)
    width += last - first + 1
    if (last < range.last) return { ranges, cutAt: taken }
  }
  return { ranges, cutAt: undefined }
}
