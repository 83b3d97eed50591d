import { join } from 'node:path'
import type { Logger } from 'pino'
import { type Env, readDataLocation } from '../config/config.ts'
import { inspectDataDir } from '../supervisor/data-dir.ts'
import { LogFile } from '../system/log-file.ts'
import { makeLogger } from '../system/logger.ts'

/**
 * Returns the log of the commands that operators run: `log/commands.log` in the data directory. Returns undefined if the settings
 * are invalid or there is no data directory.
 */
export function openAuditLog(env: Env): Logger | undefined {
  try {
    const { dataDir, logFileBytes } = readDataLocation(env)
    if (!inspectDataDir(dataDir)) return undefined
    const destination = new LogFile(join(dataDir, 'log', 'commands.log'), logFileBytes)
    return makeLogger({ role: 'command', pid: process.pid }, 'info', destination)
  } catch {
    return undefined
  }
}
