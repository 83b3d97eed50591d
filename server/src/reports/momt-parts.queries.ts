import type { Db } from '../db/db.ts'
import type { FilePart } from '../files/file-store.ts'

/** Adds parts to the file of a report behind its first `kept` ones, in place of the others. */
export async function replaceReportParts(tx: Db, reportId: number, kept: number, added: readonly FilePart[]) {
  await tx.exec(
    'delete_last_report_parts',
    /* sql */ `delete from momt_report_parts where report_id = $1 and part_number > $2`,
    [reportId, kept],
  )
  await tx.exec(
    'add_report_parts',
    /* sql */ `
    insert into momt_report_parts (report_id, part_number, name, bytes)
    select $1, $2 + p.n, p.name, p.bytes
      from unnest($3::text[], $4::bigint[]) with ordinality as p (name, bytes, n)`,
    [reportId, kept, added.map(({ name }) => name), added.map(({ bytes }) => bytes)],
  )
}

/** Returns the parts of a report's file in their order, or only the last ones. */
export function listReportParts(db: Db, reportId: number, last: number | null = null) {
  return db.many<FilePart>(
    'list_report_parts',
    /* sql */ `
    select name, bytes
      from (select part_number, name, bytes from momt_report_parts where report_id = $1 order by part_number desc limit $2) p
     order by part_number`,
    [reportId, last],
  )
}

/** Deletes the parts of a report's file and the descriptions of its row groups; the file itself is in the file store. */
export async function deleteReportParts(tx: Db, reportId: number): Promise<void> {
  await deleteRowGroups(tx, reportId)
  await tx.exec('delete_report_parts', /* sql */ `delete from momt_report_parts where report_id = $1`, [reportId])
}

/** Adds the descriptions of the next row groups of a Parquet file; the caller has locked the report. */
export function addRowGroups(tx: Db, reportId: number, descriptions: readonly string[]) {
  return tx.exec(
    'add_row_groups',
    /* sql */ `
    insert into momt_report_row_groups (report_id, group_number, description)
    select $1, l.last + d.n, d.description
      from (select coalesce(max(group_number), 0) as last from momt_report_row_groups where report_id = $1) l,
           unnest($2::text[]) with ordinality as d (description, n)`,
    [reportId, descriptions],
  )
}

/** Returns the descriptions of the row groups of a Parquet file in their order. */
export async function listRowGroups(tx: Db, reportId: number): Promise<string[]> {
  const rows = await tx.many<{ description: string }>(
    'list_row_groups',
    /* sql */ `select description from momt_report_row_groups where report_id = $1 order by group_number`,
    [reportId],
  )
  return rows.map(({ description }) => description)
}

/** Deletes the descriptions of the row groups of a Parquet file, which its footer has. */
export function deleteRowGroups(tx: Db, reportId: number) {
  return tx.exec('delete_row_groups', /* sql */ `delete from momt_report_row_groups where report_id = $1`, [reportId])
}
