import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { rejectAtCap } from '../accounts/caps.ts'
import { caps } from '../config/caps.ts'
import { listCustomFields } from '../custom-fields/custom-fields.queries.ts'
import { preparePatterns } from '../custom-fields/pattern.ts'
import type { Db } from '../db/db.ts'
import { isRaceLost } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import { findLastOpt, recordImportEvents } from '../events/import-events.queries.ts'
import { announceWork, type DoneSlice } from '../jobs/turns.ts'
import { EventLoopTurns } from '../lib/event-loop-turns.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import { anyPace, type BodyPace, readSteadily } from '../lib/steady-body.ts'
import { getList } from '../lists/lists.ts'
import type { Runtime } from '../runtime.ts'
import type { ColumnMapping, FieldColumn } from './columns.ts'
import { type Reader, readCsv } from './csv-reader.ts'
import { DateCounts } from './date-counts.ts'
import {
  countImports,
  countOpenImports,
  findImport,
  type Import,
  insertImport,
  listImports,
  lockStagedBytes,
  markEnded,
  markReceived,
  type NewImport,
  type Received,
  sumOpenImports,
} from './imports.queries.ts'
import { readNdjson } from './ndjson-reader.ts'
import { openFile } from './open-file.ts'
import {
  applySlice,
  insertListDelta,
  lockImport,
  markSlice,
  markStated,
  type Slice,
  type SliceCounts,
  trimSkips,
} from './slices.queries.ts'
import { StagedRows } from './staged-rows.ts'
import { copyRows, createRowsTable, dropRowsTable, indexRows, rowsTable } from './staging.queries.ts'
import { applyStatedStates } from './stated.queries.ts'
import { UploadSpace, UploadSpool } from './upload-spool.ts'

export const applyJob = 'imports.apply'

/** Maximum rows per slice: 0.1 s of work on two idle cores, 0.25 s on busy ones. An opt-out may have to wait for a slice. */
export const sliceRows = 5_000

/** Maximum number of bytes that are validated at once, 2 ms, and of the steps of patterns: at most 18 ms. */
const largestPiece = 4_096
const stepsPerTurn = 500_000

export type Upload = {
  accountId: number
  listId: number
  apiKeyId: number | null
  /** As stated by the sender; a file of JSON objects is read as NDJSON in any case. */
  format: 'csv' | 'ndjson'
  charset?: 'windows-1252' | undefined
  columns?: ColumnMapping | undefined
  unknownColumns: 'reject' | 'ignore'
  source: string | null
  /** The file's bytes; not destroyed on an error, so that the error response can still be sent. */
  body: Readable
  /** Called with every chunk of the body. */
  onBytes?: (bytes: Buffer) => void
}

/** What an upload shares with others. Without a pace, its client may be as slow as it likes. */
export type UploadLimits = {
  pace?: BodyPace
  space?: UploadSpace
  /** Calls `copy` when the account may use a database connection. */
  inTurn?: <T>(copy: () => Promise<T>) => Promise<T>
}

/**
 * Stores a file and enqueues its application; when it returns, every row is durable. Throws a 422 with the line for a
 * malformed file, a 408 if the client is slower than the pace, and a 413 or 503 if the rows need too much space. One transaction
 * stores the rows; it begins when the client has sent the whole file, so a malformed or interrupted upload stores nothing.
 * The file is never entirely in memory.
 */
export async function receiveImport(rt: Runtime, upload: Upload, limits: UploadLimits = {}): Promise<{ id: number }> {
  const { accountId, listId, columns, unknownColumns } = upload
  const { pace = anyPace, space = makeUploadSpace(rt), inTurn = (copy) => copy() } = limits
  const now = rt.clock.now()
  const { rejectsUnreadable } = await getList(rt.db, accountId, listId)
  const [customFields] = await Promise.all([
    listCustomFields(rt.db, listId),
    // before the file is read; the checks below decide
    rejectAtLimits(rt.db, rt, accountId),
  ])
  const dateCounts = new DateCounts(now)
  const rows = new StagedRows({ fields: customFields, dateCounts }, rejectsUnreadable)
  const pieceBytes = await preparePieces(customFields, accountId)
  const spool = new UploadSpool(space, accountId)
  try {
    const { sample, bytes } = await openFile(observed(upload, pace), { ...upload, pieceBytes })
    const isJson = upload.format === 'ndjson' || /^\s*\{\s*"/.test(sample)
    const reader = (isJson ? readNdjson : readCsv)(rows, { unknownColumns, customFields, columns, sample, dateCounts })
    await spoolRows(bytes, reader, rows, spool)
    const received = { ...rows, totalRows: rows.total, ignoredColumns: reader.ignoredColumns() }
    return await inTurn(() => rt.db.tx((tx) => storeImport(tx, rt, { ...upload, now }, received, spool)))
  } finally {
    await spool.close()
  }
}

/** Stores the import with all its rows, and announces it to the workers. */
async function storeImport(
  tx: Db,
  rt: Runtime,
  upload: NewImport,
  received: Omit<Received, 'stagedBytes'>,
  spool: UploadSpool,
) {
  const { accountId } = upload
  await rejectAtLimits(tx, rt, accountId, spool.size)
  const { id } = await insertImport(tx, upload)
  await createRowsTable(tx, id)
  await copyRows(tx, id, (copy) => pipeline(spool.read(), copy))
  await indexRows(tx, id)
  await markReceived(tx, id, { ...received, stagedBytes: spool.size })
  // not earlier, because the upload would lock the account; the count includes this import
  await rejectAtCap(tx, rt, { name: 'open_imports', accountId, adding: 0 }, () => countOpenImports(tx, accountId))
  await announceWork(tx, applyJob)
  // last, because all uploads wait for this lock
  await rejectBeyondSpace(tx, rt, accountId)
  return { id }
}

/**
 * Throws a 422 if the account has too many open imports, and a 503 if `bytes` more of rows would be too much: as in
 * `SharedBudget`, at least as much must stay free as the account has.
 */
async function rejectAtLimits(db: Db, { config }: Runtime, accountId: number, bytes = 0): Promise<void> {
  const limit = config.caps.open_imports
  const { open, ownBytes, allBytes } = await sumOpenImports(db, accountId)
  if (open >= limit) throw errors.capReached('open_imports', limit, caps.open_imports.of)
  if (ownBytes + bytes > config.uploads.diskBytes - allBytes - bytes) throw errors.uploadSpaceFull()
}

/**
 * Throws a 503 if the rows of all open imports, with those of this transaction, are too much. Concurrent uploads, also of other
 * processes, do this one by one, so that none misses the rows of another.
 */
async function rejectBeyondSpace(tx: Db, { config }: Runtime, accountId: number): Promise<void> {
  await lockStagedBytes(tx)
  const { ownBytes, allBytes } = await sumOpenImports(tx, accountId)
  if (ownBytes > config.uploads.diskBytes - allBytes) throw errors.uploadSpaceFull()
}

/** Returns the space for the rows of unfinished uploads, in the data directory. */
export function makeUploadSpace({ config, log }: Pick<Runtime, 'config' | 'log'>): UploadSpace {
  const folder = join(config.dataDir, 'uploads')
  const onFullDisk = () => log.error({ folder }, 'upload rejected, the disk is almost full')
  return new UploadSpace(folder, config.uploads.diskBytes, onFullDisk)
}

/**
 * Compiles the patterns of the list, and returns how many bytes are validated in one turn: fewer if there are large
 * patterns, for which each byte takes time.
 */
async function preparePieces(fields: readonly FieldColumn[], accountId: number): Promise<number> {
  const largest = await preparePatterns(fields, new EventLoopTurns(accountId))
  return Math.min(largestPiece, Math.ceil(stepsPerTurn / Math.max(1, largest)))
}

async function spoolRows(bytes: AsyncIterable<Buffer>, reader: Reader, rows: StagedRows, spool: UploadSpool) {
  const source = Readable.from(bytes, { objectMode: false })
  async function* finish(blocks: AsyncIterable<string>) {
    yield* blocks
    yield rows.rest()
  }
  try {
    await pipeline(source, reader.stream, finish, (blocks: AsyncIterable<string>) => spool.fill(blocks))
  } catch (error) {
    throw reader.faultOf(error)
  }
}

async function* observed({ body, onBytes }: Upload, pace: BodyPace): AsyncGenerator<Buffer> {
  for await (const chunk of readSteadily(body, pace, errors.uploadStalled)) {
    onBytes?.(chunk)
    yield chunk
  }
}

/** Thrown when another transaction wrote one of the slice's numbers between the slice's reads and its writes. */
class SliceRaced extends Error {}

/** Returns whether a slice failed because of a concurrent transaction, so that it can be repeated at once. */
export function isSliceRace(error: unknown): boolean {
  return error instanceof SliceRaced || isRaceLost(error)
}

/**
 * Applies the next slice of an import and moves the cursor in one transaction, so that a crash neither loses nor repeats a
 * slice. Retries after a race. Returns whether rows may remain. For tests and measurements, outside of the turns.
 */
export async function applyNextSlice(rt: Runtime, importId: number, limit = sliceRows): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      return !(await rt.db.tx((tx) => applySliceIn(tx, rt, importId, limit))).ended
    } catch (error) {
      if (attempt === 10 || !isSliceRace(error)) throw error
    }
  }
}

/** Applies the next slice of an import in this transaction. */
export async function applySliceIn(tx: Db, rt: Runtime, importId: number, limit: number): Promise<DoneSlice> {
  const cursor = await lockImport(tx, importId)
  if (!cursor || cursor.status === 'done' || cursor.status === 'failed') return { rows: 0, ended: true }
  const now = rt.clock.now()
  if (cursor.listDeleted) {
    await endImport(tx, importId, 'the list was deleted', now)
    return { rows: 0, ended: true }
  }
  const slice: Slice = { importId, cursor, limit, now }
  const lastOpt = cursor.importEvents ? await findLastOpt(tx) : undefined
  const counts = await applySlice(tx, slice)
  if (!addsUp(counts)) throw new SliceRaced(`a subscriber of ${rowsTable(importId)} changed concurrently`)
  if (counts.stated > 0) await applyStated(tx, slice, counts)
  if (counts.rows > 0) {
    await markSlice(tx, slice, counts)
    if (counts.subscribed > 0) await insertListDelta(tx, cursor.listId, counts.subscribed)
    if (Object.keys(counts.skipReasons).length > 0) await trimSkips(tx, importId)
    if (lastOpt !== undefined) {
      await recordImportEvents(tx, { listId: cursor.listId, actor: `import:${importId}`, after: lastOpt })
    }
  }
  const ended = counts.rows < limit
  if (ended) await endImport(tx, importId, null, now)
  return { rows: counts.rows, ended }
}

/** Applies the opt-outs and cleanings of a slice, and adds their rows to its counts. */
async function applyStated(tx: Db, slice: Slice, counts: SliceCounts) {
  const stated = await applyStatedStates(tx, slice, { phone: counts.lastPhone, line: counts.lastLine })
  if (stated.inserted !== stated.toInsert) throw new SliceRaced('a number of an opt-out was added concurrently')
  counts.added += stated.added
  counts.updated += stated.updated
  counts.unchanged += stated.unchanged
  counts.keptOptedOut += stated.keptOptedOut
  await markStated(tx, slice.importId, stated)
}

function addsUp(counts: SliceCounts): boolean {
  const { added, updated, unchanged, keptOptedOut, lastStated, skipReasons } = counts
  const skipped = Object.values(skipReasons).reduce((sum, count) => sum + count, 0)
  const sum = added + updated + unchanged + keptOptedOut + lastStated + skipped
  return sum === counts.rows && counts.inserted === added && counts.changed === updated
}

/** Returns a page of the imports of the account's list, latest first; throws a 404 if the list does not exist. */
export async function getImportPage(db: Db, accountId: number, listId: number, page: Page): Promise<PageOf<Import>> {
  await getList(db, accountId, listId)
  return pageOf(countImports(db, listId), listImports(db, listId, page))
}

/** Returns the import; throws a 404 if the account does not have the list, or the list does not have the import. */
export async function getImport(rt: Runtime, accountId: number, listId: number, importId: number) {
  await getList(rt.db, accountId, listId)
  const found = await findImport(rt.db, accountId, listId, importId)
  if (!found) throw errors.importNotFound()
  return found
}

/** Marks an import as done, or as failed if `fault` is not null, and drops its staging table. */
export async function endImport(tx: Db, importId: number, fault: string | null, now: Date) {
  await markEnded(tx, importId, fault === null ? 'done' : 'failed', fault, now)
  await dropRowsTable(tx, importId)
}
