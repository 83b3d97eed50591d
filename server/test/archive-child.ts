import { pino } from 'pino'
import { readEnv } from '../src/config/config.ts'
import { poolDb } from '../src/db/db.ts'
import { makePool } from '../src/db/pool.ts'
import { removalOptions, removeOldDays } from '../src/reports/archive/remove-days.ts'
import { makeRuntime } from './runtime.ts'

// A worker that archives and removes old days, which tests kill: node archive-child.ts <database URL> <directory of files> <time>

const [url = '', filesDir = '', time = ''] = process.argv.slice(2)
const log = pino({ level: 'silent' })
const config = readEnv({ CARILLON_FILES_DIR: filesDir, CARILLON_MESSAGE_LOG_DAYS: '30' })
const rt = {
  ...makeRuntime({ db: poolDb(makePool(url, log)), url }),
  config,
  log,
  clock: { now: () => new Date(time) },
}
const small = { ...removalOptions, fileRows: 50, groupRows: 20 }
process.stdout.write('started\n')
await removeOldDays(rt, new AbortController().signal, small)
process.exit(0)
