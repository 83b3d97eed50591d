import type { Config } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import type { Clock } from '../lib/clock.ts'
import type { Mode } from '../system/installation.queries.ts'

/** What a command is given to work with. */
export type CommandContext = {
  db: Db
  databaseUrl: string
  clock: Clock
  /** The mode the database was made for. */
  mode: Mode
  /** Options as they were typed, by name. */
  options: Readonly<Record<string, string | boolean | undefined>>
  /** Arguments that are no options, in their order. */
  names: readonly string[]
  /** A path as it was typed, from where it was typed. */
  resolve(path: string): string
  /** What connections are opened and sealed with; made where it is missing and the data directory is ours to keep it. */
  connectionConfig(): Pick<Config, 'mode' | 'smpp' | 'secretKey'>
  /** Gives the installation to another mode, also where a data directory remembers it. */
  changeMode(mode: Mode): Promise<void>
}

/** What a command has to say: lines for people, and the same for machines. */
export type CommandResult = { lines: string[]; json: object }

export type Option = { help: string; value?: string; required?: boolean }

export type CliCommand = {
  /** Its words: `account create`. */
  name: string
  summary: string
  /** Arguments that are no options: `<file>`. */
  names?: string[]
  options?: Record<string, Option>
  /** Written below its options. */
  notes?: string[]
  /** How it takes the database: as it is; makes what is missing; with nothing else running on it; empty. */
  takes?: 'any' | 'new' | 'alone' | 'empty'
  run(context: CommandContext): Promise<CommandResult>
}

/** A command line that cannot be understood; its message says how it would be. */
export class UsageError extends Error {}

/** An option that the command requires, or that has been given. */
export function textOf({ options }: CommandContext, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Rows under headings, in columns. */
export function table(headings: string[], rows: string[][]): string[] {
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => row[i]?.length ?? 0)))
  return [headings, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
