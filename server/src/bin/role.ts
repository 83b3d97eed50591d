import { type Logger, pino } from 'pino'
import { type Config, ConfigError, readEnv } from '../config/config.ts'
import { loadEnvFileIfPresent } from '../config/env-file.ts'
import { poolDb } from '../db/db.ts'
import { boundedBy, makePool } from '../db/pool.ts'
import { OperatorError } from '../errors.ts'
import { systemClock } from '../lib/clock.ts'
import type { Runtime } from '../runtime.ts'
import { Metrics, measureProcess } from '../system/metrics.ts'
import { assertMode } from './mode.ts'

/** A role at work: what its supervisor should know, and how it finishes what it has in hand. */
export type RunningRole = { ready?: object; stop(): Promise<void> }

const stopMs = 8_000
const orphanStopMs = 1_500 // the watchdog ends what is left after two seconds

/** Runs a role on the database, if that is of its mode, until it is told to stop. */
export function runRole(name: string, start: (rt: Runtime) => Promise<RunningRole>): Promise<void> {
  return runProcess(name, async ({ config, log }) => {
    const databaseUrl = config.databaseUrl?.reveal()
    if (!databaseUrl) throw new ConfigError(['DATABASE_URL is needed for a role that is started by itself'])
    const pool = makePool(databaseUrl, log, { name: `carillon ${name}`, settings: boundedBy(config.send.leaseMs) })
    const db = poolDb(pool)
    await assertMode(db, config.mode)
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
 * Runs a process of ours: settings in, log to standard output, SIGTERM drains it and ends with code 0. Below a
 * supervisor it says when it is ready and does not outlive it. A fault that nobody caught ends it, for a fresh start.
 */
export async function runProcess(
  name: string,
  start: (given: { config: Config; log: Logger }) => Promise<RunningRole>,
): Promise<void> {
  const supervised = process.send !== undefined
  if (!supervised) loadEnvFileIfPresent()
  const config = readConfig()
  const log = pino({
    level: config.logLevel,
    base: { pid: process.pid, role: name },
    timestamp: pino.stdTimeFunctions.isoTime,
  })

  let running: RunningRole | undefined
  let stopping = false
  const stop = async (why: string, deadlineMs: number) => {
    if (stopping) return
    stopping = true
    log.info({ why }, 'stopping')
    setTimeout(() => {
      log.warn('did not stop in time')
      process.exit(0)
    }, deadlineMs)
    await running?.stop()
    log.info('stopped')
    process.exit(0)
  }
  const die = (fault: unknown) => {
    log.fatal({ err: fault }, 'ended by a fault')
    process.exit(1)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
  process.on('SIGTERM', () => void stop('SIGTERM', stopMs))
  // a supervised role is none of the terminal's business
  for (const name of ['SIGINT', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (!supervised) void stop(name, stopMs)
    })
  }
  process.on('disconnect', () => void stop('the supervisor is gone', orphanStopMs))

  try {
    running = await start({ config, log })
  } catch (e) {
    if (e instanceof ConfigError || e instanceof OperatorError) refuse(e)
    die(e)
  }
  // in this order: who reads the log may end the channel at once
  process.send?.({ type: 'ready', ...running?.ready })
  log.info({ ...running?.ready }, 'ready')
}

function readConfig(): Config {
  try {
    return readEnv(process.env)
  } catch (e) {
    return refuse(e as Error)
  }
}

function refuse(e: Error): never {
  console.error(e.message)
  process.exit(1)
}
