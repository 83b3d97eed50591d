import type { Db } from '../../db/db.ts'
import { isErrorOfValues, kindOfError } from '../../db/pg-errors.ts'
import { fileStoreOf } from '../../files/installed-store.ts'
import type { Runtime } from '../../runtime.ts'
import type { LogRange, MomtCursor, ReportedMessage } from '../momt-slices.queries.ts'
import { type ArchivedRow, at } from './archive-columns.ts'
import { loadRows } from './archive-slices.queries.ts'
import { type FileOfAccount, listFilesOfAccount } from './archives.queries.ts'
import { ArchiveDamaged, readGroups } from './read-archive.ts'

/** Rows of an archive, the ranges of their messages, and the last one if rows of these messages may follow it. */
export type ArchivedSlice = { rows: ArchivedRow[]; ranges: LogRange[]; cutAt: LogRange | undefined }

type DayOfAccount = { accountId: number; day: string }

/**
 * Loads the next up to `limit` archived rows of messages of one day behind a place into the table `archivedLog`, as the log had them, and
 * returns them in the order of a report; undefined if the day has no archive, or if a file of it is missing or damaged. Reads only the row
 * groups that have rows of the messages.
 */
export async function loadArchivedRows(
  rt: Pick<Runtime, 'config' | 'log'>,
  tx: Db,
  day: DayOfAccount,
  messages: readonly ReportedMessage[],
  cursor: MomtCursor,
  limit: number,
): Promise<ArchivedSlice | undefined> {
  try {
    const slice = await readArchivedRows(rt.config, tx, day, messages, cursor, limit)
    if (slice) await tx.tx((inner) => loadRows(inner, slice.rows)).catch(rejectValues)
    return slice
  } catch (error) {
    if (!(error instanceof ArchiveDamaged)) throw error
    rt.log.error({ err: error, account: day.accountId, day: day.day }, 'archive of a day of the log is damaged')
    return undefined
  }
}

/** Throws ArchiveDamaged in place of an error of values: PostgreSQL cannot make rows of the log of them. */
function rejectValues(error: unknown): never {
  if (!isErrorOfValues(error)) throw error
  // without the error itself, which may quote a row
  throw new ArchiveDamaged(`a file has values that the log cannot have: ${kindOfError(error)}`)
}

async function readArchivedRows(
  config: Runtime['config'],
  db: Db,
  { accountId, day }: DayOfAccount,
  messages: readonly ReportedMessage[],
  cursor: MomtCursor,
  limit: number,
): Promise<ArchivedSlice | undefined> {
  const files = await listFilesOfAccount(db, day, accountId)
  if (!files) return undefined
  const wanted = new Set(messages.map(({ id }) => id))
  const slice: ArchivedSlice = { rows: [], ranges: [], cutAt: undefined }
  for (const { file, groups } of groupsOf(files, messages, cursor)) {
    const store = fileStoreOf(config)
    if (!(await store.has(file.folder, [{ name: file.name, bytes: file.bytes }]))) return undefined
    for await (const rows of readGroups(store, file, (index) => groups.has(index))) {
      for (const row of rows) {
        const [messageId, id] = [Number(row[at.messageId]), Number(row[at.id])]
        if (!wanted.has(messageId) || (messageId === cursor.id && id <= cursor.logId)) continue
        const last = slice.ranges.at(-1)
        if (slice.rows.length === limit) return { ...slice, cutAt: last }
        slice.rows.push(row)
        if (last?.messageId === messageId) last.last = id
        else slice.ranges.push({ messageId, first: id, last: id })
      }
    }
  }
  return slice
}

type Place = { at: number; messageId: number }
const isBefore = (a: Place, b: Place) => a.at < b.at || (a.at === b.at && a.messageId < b.messageId)

/** Returns the row groups of each file that may have rows of the messages behind the cursor, by their index. */
function groupsOf(files: readonly FileOfAccount[], messages: readonly ReportedMessage[], cursor: MomtCursor) {
  const places = messages.map((message): Place => ({ at: message.at.getTime(), messageId: message.id }))
  const all = files.flatMap((file) =>
    file.groups.map((group, index) => ({
      file,
      index,
      logId: group.logId,
      at: Date.parse(group.at),
      messageId: group.messageId,
    })),
  )
  const found = new Map<FileOfAccount, Set<number>>()
  for (const [n, group] of all.entries()) {
    const next = all[n + 1]
    const isOver = next !== undefined && next.messageId === cursor.id && next.logId <= cursor.logId + 1
    if (isOver || !places.some((place) => !isBefore(place, group) && (!next || !isBefore(next, place)))) continue
    found.set(group.file, (found.get(group.file) ?? new Set()).add(group.index))
  }
  return [...found].map(([file, groups]) => ({ file, groups }))
}
