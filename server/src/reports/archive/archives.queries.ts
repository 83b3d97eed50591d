import type { Db } from '../../db/db.ts'
import { param, sql } from '../../db/sql.ts'

export type ArchiveState = 'archiving' | 'archived' | 'verified' | 'detached' | 'dropped'

/** The place of a log row in the files of a day: they are in the order of accounts, and then of a MOMT report. */
export type ArchiveCursor = { accountId: number; at: Date; messageId: number; logId: number }

/** A day that a worker holds the lease of. */
export type LeasedDay = { day: string; epoch: number; state: ArchiveState; openFolder: string | null; failures: number }

const closed = /* sql */ `
       not exists (select from messages m
                    where m.logged_on = d.day and (m.status = 'sending' or (m.status in ('sent', 'cancelled') and m.closed_at is null)))
   and not exists (select from messages m
                    where m.logged_on = d.day and m.billed_at is null and m.accepted_at is not null and m.status in ('sent', 'cancelled'))
   and not exists (select from messages m
                    where m.logged_on = d.day and m.status = 'sent' and m.kind = 'broadcast' and m.reported_at is null)
   and not exists (select from messages m where m.logged_on = d.day and m.report_at is not null)`

/** A day that was detached, or half detached, must be finished: readers do not find its rows, and no other day can be detached before. */
const detached = /* sql */ `
       (d.state = 'detached'
        or exists (select from pg_inherits i join pg_class c on c.oid = i.inhrelid
                    where i.inhdetachpending and right(c.relname, 8) = to_char(d.day, 'YYYYMMDD'))
        or d.state = 'verified'
           and not exists (select from pg_inherits i join pg_class c on c.oid = i.inhrelid
                            where i.inhparent = 'message_log'::regclass and right(c.relname, 8) = to_char(d.day, 'YYYYMMDD')))`

/**
 * Returns those of the days `old` whose messages are all closed and billed, and whose events were inserted; and all days that are
 * detached, or half detached. In order, at most `limit`.
 */
export async function listDaysToRemove(db: Db, old: readonly string[], now: Date, limit: number): Promise<string[]> {
  const rows = await db.many<{ day: string }>(
    'list_days_to_remove',
    /* sql */ `
    select d.day::text
      from (select given.day, a.state, a.due_at
              from (select unnest($1::date[]) as day union select day from log_archives where state <> 'dropped') given
              left join log_archives a on a.day = given.day
             order by given.day offset 0) d
     where coalesce(d.state <> 'dropped' and d.due_at <= $2, true) and (${detached} or d.day = any($1::date[]) and ${closed})
     limit $3`,
    [old, now, limit],
  )
  return rows.map(({ day }) => day)
}

/** Forgets failures of days that are kept again, because the setting was raised. */
export function forgetFailures(db: Db, old: readonly string[]) {
  return db.exec(
    'forget_archive_failures',
    /* sql */ `
    update log_archives d set error = null, failures = 0
     where d.state <> 'dropped' and d.error is not null and d.day <> all($1::date[]) and not ${detached}`,
    [old],
  )
}

/** How long a worker that is not heard of any more keeps a day. */
const leaseSeconds = 60

/** Leases a day that is due, for the next worker to continue where the last one was; undefined if another one holds it. */
export async function leaseDay(db: Db, day: string, now: Date): Promise<LeasedDay | undefined> {
  const at = param(now)
  await db.exec(
    'add_log_archive',
    sql`insert into log_archives (day, due_at, started_at) values (${day}, ${at}, ${at}) on conflict do nothing`,
  )
  return db.maybeOne<LeasedDay>(
    'lease_log_archive',
    sql`
    update log_archives
       set epoch = epoch + 1, leased_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
     where day = ${day} and state <> 'dropped' and due_at <= ${at}
       and (leased_until is null or leased_until < clock_timestamp())
    returning day::text, epoch, state, open_folder as "openFolder", failures`,
  )
}

type Lease = Pick<LeasedDay, 'day' | 'epoch'>

/** Thrown if another worker has leased the day meanwhile. */
export class LeaseLost extends Error {}

const orLost = async (changed: Promise<number>) => {
  if ((await changed) === 0) throw new LeaseLost('another worker has the day')
}

/** Renews a lease; throws LeaseLost if another worker has it. */
export function renewLease(db: Db, { day, epoch }: Lease) {
  return orLost(
    db.exec(
      'renew_log_archive',
      /* sql */ `
      update log_archives set leased_until = clock_timestamp() + make_interval(secs => $3) where day = $1 and epoch = $2`,
      [day, epoch, leaseSeconds],
    ),
  )
}

/** Releases a lease, with the result of the attempt: no error, and the time of the next one. */
export function releaseDay(db: Db, { day, epoch }: Lease, dueAt: Date) {
  return db.exec(
    'release_log_archive',
    /* sql */ `
    update log_archives set leased_until = null, failures = 0, error = null, due_at = $3 where day = $1 and epoch = $2`,
    [day, epoch, dueAt],
  )
}

/** Releases a lease after a failure. */
export function releaseFailedDay(db: Db, { day, epoch }: Lease, error: string, dueAt: Date) {
  return db.exec(
    'fail_log_archive',
    /* sql */ `
    update log_archives set leased_until = null, failures = least(failures + 1, 10000), error = $3, due_at = $4
     where day = $1 and epoch = $2`,
    [day, epoch, error, dueAt],
  )
}

/** Moves a day from one state to the next; throws LeaseLost if another worker has it. */
export function moveDay(db: Db, { day, epoch }: Lease, from: ArchiveState, to: ArchiveState, now: Date) {
  return orLost(
    db.exec(
      'move_log_archive',
      /* sql */ `
      update log_archives
         set state = $4, verified_at = case $4 when 'verified' then $5 else verified_at end,
             dropped_at = case $4 when 'dropped' then $5::timestamptz end
       where day = $1 and epoch = $2 and state = $3`,
      [day, epoch, from, to, now],
    ),
  )
}

/** Stores where the manifest is, and that the files are complete; throws LeaseLost if another worker has the day. */
export function storeManifest(
  db: Db,
  { day, epoch }: Lease,
  manifest: { folder: string; name: string; bytes: number },
) {
  return orLost(
    db.exec(
      'store_manifest',
      /* sql */ `
      update log_archives
         set state = 'archived', open_folder = null, manifest_folder = $3, manifest_name = $4, manifest_bytes = $5
       where day = $1 and epoch = $2 and state = 'archiving'`,
      [day, epoch, manifest.folder, manifest.name, manifest.bytes],
    ),
  )
}

/** Stores the folder of the file that will be written, or that it needs no deletion any more; throws LeaseLost as others do. */
export function setOpenFolder(db: Db, { day, epoch }: Lease, folder: string | null) {
  return orLost(
    db.exec('set_open_folder', /* sql */ `update log_archives set open_folder = $3 where day = $1 and epoch = $2`, [
      day,
      epoch,
      folder,
    ]),
  )
}

/** Returns the place behind which rows of a day are not archived yet. */
export function findCursor(db: Db, day: string) {
  return db.one<ArchiveCursor>(
    'find_archive_cursor',
    /* sql */ `
    select cursor_account_id as "accountId", cursor_at as at, cursor_message_id as "messageId", cursor_log_id as "logId"
      from log_archives where day = $1`,
    [day],
  )
}

/** A row group: its number of rows, and the place of the first one. */
export type ArchiveGroup = { rows: number; at: string; messageId: number; logId: number }

export type ArchiveFile = {
  accountId: number
  fileNumber: number
  folder: string
  name: string
  bytes: number
  sha256: string
  rowCount: number
  /** A decimal number. */
  rowHash: string
  states: Record<string, number>
}

/** Adds a complete file, and moves the cursor behind its rows; throws LeaseLost if another worker has the day. */
export async function addFile(
  tx: Db,
  { day, epoch }: Lease,
  file: Omit<ArchiveFile, 'fileNumber'> & { groups: ArchiveGroup[] },
  end: ArchiveCursor,
): Promise<void> {
  await orLost(
    tx.exec(
      'move_archive_cursor',
      sql`
      update log_archives
         set open_folder = null, cursor_account_id = ${end.accountId}, cursor_at = ${end.at}, cursor_message_id = ${end.messageId},
             cursor_log_id = ${end.logId}
       where day = ${day} and epoch = ${epoch} and state = 'archiving'`,
    ),
  )
  const [loggedOn, account] = [param(day), param(file.accountId)]
  await tx.exec(
    'add_archive_file',
    sql`
    insert into log_archive_files (day, account_id, file_number, folder, name, bytes, sha256, row_count, row_hash, states, row_groups)
    select ${loggedOn}::date, ${account}::bigint, count(*) + 1, ${file.folder}, ${file.name}, ${file.bytes}, ${file.sha256},
           ${file.rowCount}, ${file.rowHash}, ${JSON.stringify(file.states)}, ${JSON.stringify(file.groups)}
      from log_archive_files where day = ${loggedOn} and account_id = ${account}`,
  )
}

const fileColumns = /* sql */ `
  account_id as "accountId", file_number as "fileNumber", folder, name, bytes, sha256, row_count as "rowCount",
  row_hash::text as "rowHash", states`

/** Returns the files of a day in order. */
export function listFiles(db: Db, day: string) {
  return db.many<ArchiveFile & { isVerified: boolean }>(
    'list_archive_files',
    /* sql */ `
    select ${fileColumns}, is_verified as "isVerified" from log_archive_files where day = $1 order by account_id, file_number`,
    [day],
  )
}

/** Marks a file as equal to the log; throws LeaseLost if another worker has the day. */
export function markVerified(db: Db, { day, epoch }: Lease, { accountId, fileNumber }: ArchiveFile) {
  return orLost(
    db.exec(
      'mark_archive_file_verified',
      /* sql */ `
      update log_archive_files set is_verified = true
       where day = $1 and account_id = $3 and file_number = $4
         and exists (select from log_archives where day = $1 and epoch = $2)`,
      [day, epoch, accountId, fileNumber],
    ),
  )
}

/** Forgets the files and the manifest of a day, so that it is archived again; throws LeaseLost if another worker has it. */
export async function restartArchive(tx: Db, { day, epoch }: Lease): Promise<void> {
  await orLost(
    tx.exec(
      'restart_log_archive',
      /* sql */ `
      update log_archives
         set state = 'archiving', cursor_account_id = 0, cursor_at = 'epoch', cursor_message_id = 0, cursor_log_id = 0,
             verified_at = null, manifest_folder = null, manifest_name = null, manifest_bytes = null
       where day = $1 and epoch = $2 and state <> 'dropped'`,
      [day, epoch],
    ),
  )
  await tx.exec('delete_archive_files', /* sql */ `delete from log_archive_files where day = $1`, [day])
}

/** Returns where the manifest of a day is; undefined if it has none. */
export function findManifest(db: Db, day: string) {
  return db.maybeOne<{ folder: string; name: string; bytes: number }>(
    'find_manifest',
    /* sql */ `
    select manifest_folder as folder, manifest_name as name, manifest_bytes as bytes
      from log_archives where day = $1 and manifest_name is not null`,
    [day],
  )
}

/** A file of a report's account, with its row groups. */
export type FileOfAccount = Pick<ArchiveFile, 'folder' | 'name' | 'bytes'> & { groups: ArchiveGroup[] }

/** Returns the files of an account on a day in order; undefined if the day has no archive that was verified. */
export async function listFilesOfAccount(db: Db, day: string, accountId: number): Promise<FileOfAccount[] | undefined> {
  const row = await db.maybeOne<{ files: FileOfAccount[] }>(
    'list_archive_files_of_account',
    /* sql */ `
    select (select coalesce(json_agg(json_build_object('folder', folder, 'name', name, 'bytes', bytes, 'groups', row_groups)
                                     order by file_number), '[]')
              from log_archive_files where day = $1 and account_id = $2) as files
      from log_archives where day = $1 and state in ('verified', 'detached', 'dropped')`,
    [day, accountId],
  )
  return row?.files
}
