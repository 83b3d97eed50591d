import type { Config } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import type { Clock } from '../lib/clock.ts'
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
  /** Settings for sealing and opening connections; creates a missing secret key in the data directory. */
  connectionConfig(): Pick<Config, 'mode' | 'smpp' | 'secretKey'>
  /** Sets the mode that the data directory records, if there is one. */
  changeMode(mode: Mode): Promise<void>
}

/** The output of a command: lines for people, and the same as JSON. */
export type CommandResult = { lines: string[]; json: object }

export type Option = { help: string; value?: string; required?: boolean }

export type CliCommand = {
  /** Its words, such as `account create`. */
  name: string
  summary: string
  /** Positional arguments, such as `<file>`. */
  names?: string[]
  options?: Record<string, Option>
  /** Printed below its options in the help. */
  notes?: string[]
  /** Required database: `any`; `new` (create a missing one); `alone` (no instance runs on it); `empty`. */
  takes?: 'any' | 'new' | 'alone' | 'empty'
  run(context: CommandContext): Promise<CommandResult>
}

/** An invalid command line; the message names the correct form. */
export class UsageError extends Error {}

/** Formats rows under headings, in columns. */
export function table(headings: string[], rows: string[][]): string[] {
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => row[i]?.length ?? 0)))
  return [headings, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
