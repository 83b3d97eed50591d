import { utcDay } from '../lib/clock.ts'
import { readDate } from '../lib/dates.ts'
import { exportArchive } from '../reports/archive/export-archive.ts'
import { type LogDay, listDaysOfLog, retryArchives } from '../reports/archive/log-days.queries.ts'
import { type CliCommand, table, UsageError } from './command.ts'

const whereOf = ({ isKept, state }: LogDay) =>
  isKept ? (state === null ? 'kept' : `kept, ${state}`) : (state ?? 'kept')

const days: CliCommand = {
  name: 'log days',
  summary: 'List the days of the message log: kept in the database, or archived and removed',
  notes: ['Days are UTC. ROWS, FILES and SIZE are those of the archive in the file store.'],
  async run({ db, clock }) {
    const found = await listDaysOfLog(db, utcDay(clock.now()))
    return {
      lines: table(
        ['DAY', 'STATE', 'ROWS', 'FILES', 'SIZE', 'FAILURES', 'ERROR'],
        found.map((day) => [
          day.day,
          whereOf(day),
          ...(day.files === 0 ? ['', '', ''] : [String(day.rows), String(day.files), String(day.bytes)]),
          day.failures === 0 ? '' : String(day.failures),
          day.error ?? '',
        ]),
      ),
      json: {
        days: found.map((day) => ({
          day: day.day,
          is_kept: day.isKept,
          archive: day.state,
          rows: day.rows,
          files: day.files,
          bytes: day.bytes,
          failures: day.failures,
          error: day.error,
          dropped_at: day.droppedAt,
        })),
      },
    }
  },
}

const retry: CliCommand = {
  name: 'log retry',
  summary: 'Retry the archives of days that failed within five minutes, for example after a repair of the file store',
  async run({ db, clock }) {
    const count = await retryArchives(db, clock.now())
    return { lines: [`Days that are retried: ${count}.`], json: { retried: count } }
  },
}

const exportDay: CliCommand = {
  name: 'log export',
  summary: 'Write the files of an archived day into a new folder, after a check of their SHA-256',
  names: ['<YYYY-MM-DD>', '<folder>'],
  notes: ['The files are account-<id>-<number>.parquet and manifest.json. They contain phone numbers and texts.'],
  async run({ db, names: [given = '', folder = ''], resolve, fileStore }) {
    const day = readDate(given)
    if (day === undefined) throw new UsageError(`Not a date (YYYY-MM-DD): ${given}`)
    const { files, rows } = await exportArchive(db, fileStore(), day, resolve(folder))
    return { lines: [`Files written: ${files}, with ${rows} rows.`], json: { day, files, rows } }
  },
}

export const logCommands: CliCommand[] = [days, retry, exportDay]
