import { join } from 'node:path'
import { OperatorError } from '../errors.ts'
import { changeMode, inspectDataDir, openDataDir } from './data-dir.ts'
import { findRunningPostgres, startPostgres } from './embedded-postgres.ts'
import { WatchdogLink } from './watchdog-link.ts'

export type BorrowOptions = {
  dataDir: string
  /** The mode that a new directory gets. */
  mode: 'sandbox' | 'production'
  /** Size at which the log of a PostgreSQL that is started for this command is rotated. */
  logFileBytes: number
  /** Whether to create a missing directory. */
  make?: boolean
  /** Whether to fail if an instance runs on the directory. */
  alone?: boolean
}

export type BorrowedDatabase = {
  url: string
  mode: string
  /** Whether an instance runs on the directory; otherwise PostgreSQL was started for this command. */
  isRunning: boolean
  /** Sets the directory's mode; throws OperatorError while an instance runs on it. */
  changeMode(mode: string): void
  /** Stops the PostgreSQL that was started for this command. */
  close(): Promise<void>
}

/**
 * Returns the embedded database for one command: the database of the running instance, or a PostgreSQL that is started for
 * the command. Throws OperatorError if the directory is missing or in use and the options do not allow that.
 */
export async function borrowDatabase({
  dataDir,
  mode,
  logFileBytes,
  make,
  alone,
}: BorrowOptions): Promise<BorrowedDatabase> {
  const known = inspectDataDir(dataDir)
  if (!known && !make) {
    throw new OperatorError(
      `${dataDir} is not a data directory of Carillon yet. Run npm start once, or set CARILLON_DATA_DIR or DATABASE_URL.`,
    )
  }
  if (known?.inUse) {
    if (alone) throw new OperatorError(`Carillon runs on ${dataDir}. Stop it first.`)
    const url = findRunningPostgres(join(dataDir, 'postgres'))
    if (url === undefined) {
      throw new OperatorError(`Carillon runs on ${dataDir}, but its PostgreSQL is not ready. Retry in a moment.`)
    }
    const reject = () => {
      throw new OperatorError(`Carillon runs on ${dataDir}. Stop it first.`)
    }
    return { url, mode: known.mode, isRunning: true, changeMode: reject, close: async () => {} }
  }
  return startAlone(dataDir, known?.mode ?? mode, logFileBytes)
}

async function startAlone(dataDir: string, mode: string, logFileBytes: number): Promise<BorrowedDatabase> {
  const dir = await openDataDir(dataDir, mode, () => {})
  const watchdog = new WatchdogLink(() => {})
  try {
    watchdog.start()
    dir.record(watchdog.id, [])
    const server = await startPostgres({
      dataDir: join(dir.path, 'postgres'),
      log: join(dir.logDir, 'postgres.log'),
      logFileBytes,
      onNamed: (clusterName) => watchdog.setKillList({ roles: [], clusterName }),
    })
    return {
      url: server.url,
      mode,
      isRunning: false,
      changeMode: (next) => changeMode(dir, next),
      async close() {
        await server.stop()
        await watchdog.release()
        dir.release()
      },
    }
  } catch (error) {
    await watchdog.release()
    dir.release()
    throw error
  }
}
