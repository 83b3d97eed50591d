import { type Db, poolDb } from '../../db/db.ts'
import { isTableInUse, kindOfError } from '../../db/pg-errors.ts'
import { makePool } from '../../db/pool.ts'
import { isDatabaseLost } from '../../db/probe.ts'
import { StoreError } from '../../files/file-store.ts'
import { fileStoreOf } from '../../files/installed-store.ts'
import { utcDay } from '../../lib/clock.ts'
import { listKeptDays } from '../../log/log-days.queries.ts'
import {
  detachDay,
  dropDay,
  isDayDetached,
  lockRemoval,
  reattachDay,
  removalSettings,
  renameDay,
} from '../../log/remove-day.queries.ts'
import type { Runtime } from '../../runtime.ts'
import {
  type ArchiveState,
  findManifest,
  forgetFailures,
  type LeasedDay,
  LeaseLost,
  leaseDay,
  listDaysToRemove,
  listFiles,
  moveDay,
  releaseDay,
  releaseFailedDay,
  restartArchive,
  setOpenFolder,
  storeManifest,
} from './archives.queries.ts'
import { makeManifest, newManifestFolder, writeManifest } from './manifest.ts'
import { ArchiveDamaged } from './read-archive.ts'
import { compareWithLog, findMissingFile, verifyFiles } from './verify-archive.ts'
import { type ArchiveSizes, OpenRowError, writeFiles } from './write-archive.ts'

// Retention. A day goes through the states of log_archives, each of which commits before the next step begins, so that a worker can be
// killed between any two: the next one continues. A day is in the log until its archive was verified, and its rows are compared once more
// when nobody can change them.

/** Days that one run looks at. */
const daysPerRun = 10

type Rt = Pick<Runtime, 'db' | 'config' | 'log' | 'clock' | 'databaseUrl'>

export type RemovalOptions = ArchiveSizes & {
  /** Calls `work` with a connection whose changes of tables give way to all others. */
  connect: <T>(rt: Rt, work: (db: Db) => Promise<T>) => Promise<T>
}

export const removalOptions: RemovalOptions = {
  fileRows: 1_000_000,
  groupRows: 5_000,
  async connect(rt, work) {
    const pool = makePool(rt.databaseUrl, rt.log, { max: 1, settings: removalSettings, name: 'carillon retention' })
    try {
      return await work(poolDb(pool))
    } finally {
      await pool.end()
    }
  },
}

/**
 * Archives and removes the days that are older than the setting, the oldest first; a day that fails does not delay the others. Days that
 * are detached are finished even if they are younger: the setting may have been raised.
 */
export async function removeOldDays(rt: Rt, signal: AbortSignal, options = removalOptions): Promise<void> {
  const { messageLogDays } = rt.config
  const before = utcDay(new Date(rt.clock.now().getTime() - messageLogDays * 86_400_000))
  const old = messageLogDays === 0 ? [] : (await listKeptDays(rt.db)).filter((day) => day < before)
  await forgetFailures(rt.db, old)
  for (const day of await listDaysToRemove(rt.db, old, rt.clock.now(), daysPerRun)) {
    if (signal.aborted) return
    await removeDay(rt, day, signal, options)
  }
}

/** Archives and removes a day, as far as that is possible now. */
async function removeDay(rt: Rt, day: string, signal: AbortSignal, options: RemovalOptions): Promise<void> {
  const lease = await leaseDay(rt.db, day, rt.clock.now())
  if (!lease) return
  try {
    for (let state: ArchiveState | undefined = lease.state; state !== undefined; ) {
      state = await steps[state](rt, lease, signal, options)
    }
    await releaseDay(rt.db, lease, rt.clock.now())
  } catch (error) {
    if (error instanceof LeaseLost) return
    if (signal.aborted) await releaseDay(rt.db, lease, rt.clock.now())
    else if (isTableInUse(error) || error instanceof InUse) await giveWay(rt, lease)
    else await fail(rt, lease, error)
  }
}

/** A step returns the state that the day has then; undefined if it can go no further now. */
type Step = (
  rt: Rt,
  lease: LeasedDay,
  signal: AbortSignal,
  options: RemovalOptions,
) => Promise<ArchiveState | undefined>

const steps: Record<ArchiveState, Step> = {
  async archiving(rt, lease, signal, options) {
    await writeFiles(rt, lease, options, signal)
    const manifest = makeManifest(lease.day, await listFiles(rt.db, lease.day), rt.clock.now())
    const folder = newManifestFolder(lease.day)
    await setOpenFolder(rt.db, lease, folder)
    await storeManifest(rt.db, lease, await writeManifest(fileStoreOf(rt.config), folder, manifest))
    return 'archived'
  },

  async archived(rt, lease, signal, options) {
    await verifyFiles(rt, lease, signal)
    const difference = await compareWithLog(rt, lease, options, false, signal)
    if (difference !== undefined) throw new LogChanged(difference)
    await moveDay(rt.db, lease, 'archived', 'verified', rt.clock.now())
    return 'verified'
  },

  async verified(rt, lease, _signal, options) {
    await options.connect(rt, async (db) => {
      await detachDay(db, lease.day)
      await db.tx(async (tx) => {
        if (!(await lockRemoval(tx))) throw new InUse('a backup reads the log')
        await moveDay(tx, lease, 'verified', 'detached', rt.clock.now())
        await renameDay(tx, lease.day)
      })
    })
    return 'detached'
  },

  async detached(rt, lease, signal, options) {
    // a restored backup does not have the tables of a detached day
    const isThere = await isDayDetached(rt.db, lease.day)
    const fault = isThere ? await findFault(rt, lease, options, signal) : undefined
    await options.connect(rt, (db) =>
      db.tx(async (tx) => {
        if (!(await lockRemoval(tx))) throw new InUse('a backup reads the log')
        await moveDay(tx, lease, 'detached', fault ? 'archiving' : 'dropped', rt.clock.now())
        if (fault) await reattachDay(tx, lease.day)
        else await dropDay(tx, lease.day)
      }),
    )
    if (fault) throw fault
    rt.log.info({ day: lease.day }, 'day of the log archived and removed')
    return undefined
  },

  async dropped() {
    return undefined
  },
}

/** Returns why the tables of a detached day must not be dropped; undefined if its archive is there, and equal to them. */
async function findFault(rt: Rt, lease: LeasedDay, options: RemovalOptions, signal: AbortSignal) {
  const difference = await compareWithLog(rt, lease, options, true, signal)
  if (difference !== undefined) return new LogChanged(difference)
  // days may have passed since the files were read back
  const missing = await findMissingFile(rt, lease, signal)
  return missing === undefined ? undefined : new ArchiveDamaged(missing)
}

/** Thrown if a table is in use. */
class InUse extends Error {}

/** Thrown if the rows of a closed day are no longer those that were archived, for example after a late receipt. */
class LogChanged extends Error {}

const retryInUseMs = 60_000
const maxRetryMs = 3_600_000

async function giveWay(rt: Rt, lease: LeasedDay): Promise<void> {
  rt.log.info({ day: lease.day }, 'day of the log is in use, its removal is retried in a minute')
  await releaseDay(rt.db, lease, new Date(rt.clock.now().getTime() + retryInUseMs))
}

/** Records that a day could not be archived or removed. The next attempt writes a damaged archive, or one of other rows, again. */
async function fail(rt: Rt, lease: LeasedDay, error: unknown): Promise<void> {
  const { day, failures } = lease
  if (await isDatabaseLost(rt.db, error)) throw error
  const fields = { err: error, day, attempts: failures + 1 }
  if (error instanceof LogChanged) rt.log.warn(fields, 'day of the log has changed, it is archived again')
  else rt.log.error(fields, 'archive of a day of the log failed, the day is kept')
  if (error instanceof ArchiveDamaged || error instanceof LogChanged) await discardFiles(rt, lease)
  const retryAt = new Date(rt.clock.now().getTime() + Math.min(60_000 * 2 ** failures, maxRetryMs))
  await releaseFailedDay(rt.db, lease, reasonOf(error), retryAt)
}

/** The reason that operators read; errors of the database may quote values of rows. */
function reasonOf(error: unknown): string {
  const isOurs = [StoreError, ArchiveDamaged, LogChanged, OpenRowError].some((kind) => error instanceof kind)
  return isOurs ? (error as Error).message : kindOfError(error)
}

/** Forgets and deletes the files and the manifest of a day. If the store fails, they are left over. */
async function discardFiles(rt: Rt, lease: LeasedDay): Promise<void> {
  const files = await listFiles(rt.db, lease.day)
  const manifest = await findManifest(rt.db, lease.day)
  await rt.db.tx((tx) => restartArchive(tx, lease))
  for (const { folder } of manifest ? [...files, manifest] : files) {
    await fileStoreOf(rt.config)
      .delete(folder)
      .catch((failure) =>
        rt.log.warn({ err: failure, folder }, 'file of an archive cannot be deleted, it is left over'),
      )
  }
}
