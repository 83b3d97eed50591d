import type { Logger } from 'pino'
import { type Config, ConfigError, readEnv } from '../config/config.ts'
import { loadEnvFileIfPresent } from '../config/environment.ts'
import { poolDb } from '../db/db.ts'
import { idleTransactionTimeout, makePool } from '../db/pool.ts'
import { OperatorError } from '../errors.ts'
import { systemClock } from '../lib/clock.ts'
import type { Runtime } from '../runtime.ts'
import { privateUmask } from '../supervisor/private-files.ts'
import { LogFile } from '../system/log-file.ts'
import { makeLogger } from '../system/logger.ts'
import { Metrics, measureProcess } from '../system/metrics.ts'
import { assertMode } from './mode.ts'
import { warnOfPrivileges } from './privileges.ts'

/** A running role. `ready` has the fields of its ready message; `stop` finishes its current work. */
export type RunningRole = { ready?: object; stop(): Promise<void> }

const stopMs = 8_000
const orphanStopMs = 1_500 // the watchdog kills remaining processes after two seconds

/**
 * Runs a role until a signal stops it; exits with a message if the database is missing or has the other mode. `poolSize`
 * returns the maximum number of its database connections, by default 10.
 */
export function runRole(
  name: string,
  start: (rt: Runtime) => Promise<RunningRole>,
  poolSize?: (config: Config) => number,
): Promise<void> {
  return runProcess(name, async ({ config, log }) => {
    const databaseUrl = config.databaseUrl?.reveal()
    if (!databaseUrl) throw new ConfigError(['DATABASE_URL is not set, but a role without a supervisor requires it'])
    const pool = makePool(databaseUrl, log, {
      name: `carillon ${name}`,
      isBackground: name === 'worker',
      ...(poolSize && { max: poolSize(config) }),
      settings: idleTransactionTimeout(config.send.leaseMs),
    })
    const db = poolDb(pool)
    await assertMode(db, config.mode)
    // under a supervisor, the start has logged it
    if (process.send === undefined) await warnOfPrivileges(db, log)
    const metrics = new Metrics(name)
    measureProcess(metrics)
    const { ready, stop } = await start({ config, log, db, clock: systemClock, databaseUrl, metrics })
    return {
      ready,
      async stop() {
        await stop()
        await pool.end()
      },
    }
  })
}

/**
 * Runs a process: reads its settings, logs to standard output, and on SIGTERM finishes its work and exits with code 0.
 * With a supervisor, it reports when it is ready, and stops when the supervisor has exited. An uncaught exception ends
 * it, so that it is restarted in a known state.
 */
export async function runProcess(
  name: string,
  start: (given: { config: Config; log: Logger }) => Promise<RunningRole>,
): Promise<void> {
  process.umask(privateUmask)
  const isSupervised = process.send !== undefined
  if (!isSupervised) loadEnvFileIfPresent()
  const config = readConfig()
  const { logFile, logFileBytes } = config
  const output = logFile === undefined ? undefined : new LogFile(logFile, logFileBytes)
  const log = makeLogger({ pid: process.pid, role: name }, config.logLevel, output)
  // both are pipes to the supervisor: if it is killed, printing must not prevent an orderly stop
  if (output) for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

  let running: RunningRole | undefined
  let stopping = false
  const stop = async (reason: string, deadlineMs: number) => {
    if (stopping) return
    stopping = true
    log.info({ reason }, 'stopping')
    setTimeout(() => {
      log.warn('stop timed out, exiting')
      process.exit(0)
    }, deadlineMs)
    await running?.stop()
    log.info('stopped')
    process.exit(0)
  }
  const crash = (error: unknown) => {
    log.fatal({ err: error }, 'uncaught exception, exiting')
    process.exit(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  process.on('SIGTERM', () => void stop('SIGTERM', stopMs))
  // the supervisor handles the terminal's signals for a supervised role
  for (const name of ['SIGINT', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (!isSupervised) void stop(name, stopMs)
    })
  }
  process.on('disconnect', () => void stop('supervisor exited', orphanStopMs))

  try {
    running = await start({ config, log })
  } catch (e) {
    if (e instanceof ConfigError || e instanceof OperatorError) exitWith(e)
    crash(e)
  }
  // before the log line, because a reader of the log may close the channel as soon as it is written
  process.send?.({ type: 'ready', ...running?.ready })
  log.info({ ...running?.ready }, 'ready')
}

function readConfig(): Config {
  try {
    return readEnv(process.env)
  } catch (e) {
    return exitWith(e as Error)
  }
}

function exitWith(e: Error): never {
  console.error(e.message)
  process.exit(1)
}
