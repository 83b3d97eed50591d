import { join } from 'node:path'
import { OperatorError } from '../errors.ts'
import { changeMode, inspectDataDir, openDataDir } from './data-dir.ts'
import { findRunningPostgres, startPostgres } from './embedded-postgres.ts'
import { WatchdogLink } from './watchdog-link.ts'

export type BorrowOptions = {
  dataDir: string
  /** The mode of a directory that does not exist yet. */
  mode: 'sandbox' | 'production'
  /** `make`: a missing directory is made. `alone`: nothing else may run on it. */
  make?: boolean
  alone?: boolean
}

export type BorrowedDatabase = {
  url: string
  mode: string
  /** An instance runs on it; otherwise PostgreSQL was started for us alone. */
  isRunning: boolean
  /** Gives the directory to another mode; only for who is alone on it. */
  changeMode(mode: string): void
  /** Stops what was started for us. */
  close(): Promise<void>
}

/** The embedded database for the length of one command: that of the running instance, or one started for the purpose. */
export async function borrowDatabase({ dataDir, mode, make, alone }: BorrowOptions): Promise<BorrowedDatabase> {
  const known = inspectDataDir(dataDir)
  if (!known && !make) {
    throw new OperatorError(
      `There is no data of Carillon in ${dataDir} yet. Run npm start once, or set CARILLON_DATA_DIR or DATABASE_URL.`,
    )
  }
  if (known?.inUse) {
    if (alone) throw new OperatorError(`Carillon runs on ${dataDir}. Stop it first.`)
    const url = findRunningPostgres(join(dataDir, 'postgres'))
    if (url === undefined) {
      throw new OperatorError(
        `Carillon runs on ${dataDir}, but its PostgreSQL does not answer just now. Try again in a moment.`,
      )
    }
    const refuse = () => {
      throw new OperatorError(`Carillon runs on ${dataDir}. Stop it first.`)
    }
    return { url, mode: known.mode, isRunning: true, changeMode: refuse, close: async () => {} }
  }
  return startAlone(dataDir, known?.mode ?? mode)
}

async function startAlone(wanted: string, mode: string): Promise<BorrowedDatabase> {
  const dir = await openDataDir(wanted, mode, () => {})
  const watchdog = new WatchdogLink(() => {})
  try {
    watchdog.start()
    dir.record(watchdog.id, [])
    const server = await startPostgres({
      dataDir: join(dir.path, 'postgres'),
      log: join(dir.logDir, 'postgres.log'),
      named: (clusterName) => watchdog.setKillList({ roles: [], clusterName }),
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
