import type { Config } from '../../config/config.ts'
import type { Db } from '../../db/db.ts'
import { fileStoreOf } from '../../files/installed-store.ts'
import type { LogRange, MomtCursor, ReportedMessage } from '../momt-slices.queries.ts'
import { type ArchivedRow, at } from './archive-columns.ts'
import { type FileOfAccount, listFilesOfAccount } from './archives.queries.ts'
import { readGroups } from './read-archive.ts'

/** Rows of an archive, the ranges of their messages, and the last one if rows of these messages may follow it. */
export type ArchivedSlice = { rows: ArchivedRow[]; ranges: LogRange[]; cutAt: LogRange | undefined }

/**
 * Returns the next up to `limit` archived rows of messages of one day behind a place, in the order of a report, as the log had them;
 * undefined if the day has no archive, or a file of it is missing. Reads only the row groups that have rows of the messages.
 */
export async function readArchivedRows(
  config: Pick<Config, 'filesDir' | 's3' | 'extraCaFile'>,
  db: Db,
  { accountId, day }: { accountId: number; day: string },
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
