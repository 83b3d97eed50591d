import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Db } from '../db/db.ts'
import { lastPartsNeeded } from '../files/file-store.ts'
import { fileStoreOf } from '../files/installed-store.ts'
import { parquetFooter, parquetHeader } from '../files/parquet-writer.ts'
import type { Runtime } from '../runtime.ts'
import { folderOf } from './momt-files.ts'
import { csvHeader, LineWriter } from './momt-lines.ts'
import { parquetColumns, RowGroupWriter } from './momt-parquet.ts'
import { addRowGroups, listReportParts, listRowGroups, replaceReportParts } from './momt-parts.queries.ts'
import { type RunningReport, waitForStore } from './momt-reports.queries.ts'
import { copySlice, type MomtSlice, type RowsOfSlice } from './momt-slices.queries.ts'

// What a slice adds to the file of a report: a part, which commits with the slice, and in Parquet the descriptions of its row groups.

const headers = { json: undefined, csv: csvHeader, parquet: parquetHeader }

/** Appends the rows of a slice to the file of a report, and returns their number. */
export async function appendSlice(tx: Db, rt: Runtime, report: RunningReport, slice: MomtSlice): Promise<number> {
  const { format, timeZone, filters } = report
  const writerOf = (given: RowsOfSlice) =>
    format === 'parquet' ? new RowGroupWriter(given) : new LineWriter({ ...given, format, timeZone })
  const writer = await copySlice(tx, slice, filters, writerOf, (rows) => append(tx, rt, report, rows))
  if (writer instanceof RowGroupWriter) await addRowGroups(tx, report.id, writer.descriptions)
  return writer.rowCount
}

/** Appends the footer of a Parquet file behind its row groups. */
export async function appendFooter(tx: Db, rt: Runtime, report: RunningReport): Promise<void> {
  const notes = { time_zone: report.timeZone }
  const footer = parquetFooter(parquetColumns, await listRowGroups(tx, report.id), notes)
  await append(tx, rt, report, oneOf(footer))
}

async function* oneOf(bytes: Buffer) {
  yield bytes
}

async function append(tx: Db, rt: Runtime, report: RunningReport, rows: AsyncIterable<Buffer>): Promise<void> {
  const header = report.partCount === 0 ? headers[report.format] : undefined
  const content = header ? behind(header, rows) : rows
  const last = await listReportParts(tx, report.id, lastPartsNeeded)
  await waitForStore(tx)
  const { replaced, added } = await fileStoreOf(rt.config).append(
    folderOf(report),
    last,
    report.gzip ? zip(content) : content,
  )
  await replaceReportParts(tx, report.id, report.partCount - replaced, added)
}

async function* behind(header: Buffer, rows: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  yield header
  yield* rows
}

/** Each part is a gzip file; files that follow each other are one. */
async function* zip(lines: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const gzip = createGzip()
  const written = pipeline(lines, gzip)
  written.catch(() => {})
  yield* gzip as AsyncIterable<Buffer>
  await written
}
