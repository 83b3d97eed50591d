import { join } from 'node:path'
import { changeMode, lookAtDataDir, openDataDir } from './data-dir.ts'
import { findRunningPostgres, startPostgres } from './embedded-postgres.ts'
import { Refusal } from './refusal.ts'
import { WatchdogLink } from './watchdog-link.ts'

export type Wanted = {
  dataDir: string
  /** The mode of a directory that does not exist yet. */
  mode: 'sandbox' | 'production'
  /** `make`: a missing directory is made. `alone`: nothing else may run on it. */
  make?: boolean
  alone?: boolean
}

export type Borrowed = {
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
export async function borrowDatabase({ dataDir, mode, make, alone }: Wanted): Promise<Borrowed> {
  const known = lookAtDataDir(dataDir)
  if (!known && !make) {
    throw new Refusal(
      `There is no data of Carillon in ${dataDir} yet. Run npm start once, or set CARILLON_DATA_DIR or DATABASE_URL.`,
    )
  }
  if (known?.inUse) {
    if (alone) throw new Refusal(`Carillon runs on ${dataDir}. Stop it first.`)
    const url = findRunningPostgres(join(dataDir, 'postgres'))
    if (url === undefined) {
      throw new Refusal(
        `Carillon runs on ${dataDir}, but its PostgreSQL does not answer just now. Try again in a moment.`,
      )
    }
    const refuse = () => {
      throw new Refusal(`Carillon runs on ${dataDir}. Stop it first.`)
    }
    return { url, mode: known.mode, isRunning: true, changeMode: refuse, close: async () => {} }
  }
  return startAlone(dataDir, known?.mode ?? mode)
}

async function startAlone(wanted: string, mode: string): Promise<Borrowed> {
  const dir = await openDataDir(wanted, mode, () => {})
  const watchdog = new WatchdogLink(() => {})
  try {
    watchdog.start()
    dir.record(watchdog.id, [])
    const server = await startPostgres({
      dataDir: join(dir.path, 'postgres'),
      log: join(dir.logDir, 'postgres.log'),
      named: (clusterName) => watchdog.entrust({ roles: [], clusterName }),
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
