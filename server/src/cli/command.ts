import type { Config } from '../config/config.ts'
import type { Secret } from '../config/secret.ts'
import type { Db } from '../db/db.ts'
import type { FileStore } from '../files/file-store.ts'
import type { Clock } from '../lib/clock.ts'
import { printableLine } from '../lib/printable.ts'
import type { Mode } from '../system/installation.queries.ts'

/** The input of a command. */
export type CommandContext = {
  db: Db
  databaseUrl: string
  clock: Clock
  /** The mode of the database. */
  mode: Mode
  /** Options by name, as typed. */
  options: Readonly<Record<string, string | boolean | undefined>>
  /** Positional arguments. */
  names: readonly string[]
  /** Resolves a path against the operator's directory. */
  resolve(path: string): string
  /** Returns what is sent to standard input. */
  readInput(): string
  /** Returns the settings that seal and open connections; creates a missing secret key in the data directory. */
  connectionConfig(): Pick<Config, 'mode' | 'smpp' | 'secretKey'>
  /** Returns the store of the files of reports and archives. */
  fileStore(): FileStore
  /** Returns the secret key, from the settings or the data directory; undefined if there is none. */
  findSecretKey(): Secret | undefined
  /** Prints a line of a command whose output has no end. */
  print(line: string): void
  /** Returns a signal that aborts when the operator stops the command, or after this time; Ctrl-C then no longer kills the process. */
  untilStopped(seconds: number | undefined): AbortSignal
  /** Sets the mode that the data directory records, if there is one. */
  changeMode(mode: Mode): Promise<void>
}

/** The output of a command: lines for people, and the same content as JSON; undefined after a command that has printed all. */
export type CommandResult = {
  lines: string[]
  json: object | undefined
  /** Whether the exit code is 1, although the command did all that it should: it found something wrong. */
  hasFailed?: boolean
}

export type Option = { help: string; value?: string; required?: boolean }

export type CliCommand = {
  /** The words that call it, such as `account create`. */
  name: string
  summary: string
  /** Positional arguments, such as `<file>`. */
  names?: string[]
  options?: Record<string, Option>
  /** Lines that its help prints below the options. */
  notes?: string[]
  /** The database that it requires: `any`; `new` (created if missing); `alone` (no instance runs on it); `empty`. */
  requires?: 'any' | 'new' | 'alone' | 'empty'
  run(context: CommandContext): Promise<CommandResult>
}

/** Thrown for an invalid command line; the message includes the correct form. */
export class UsageError extends Error {}

/** Formats rows as the lines of a table with headings; each row is one line, whatever its values contain. */
export function table(headings: string[], values: string[][]): string[] {
  const rows = values.map((row) => row.map(printableLine))
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => row[i]?.length ?? 0)))
  return [headings, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
