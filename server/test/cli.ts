import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { runCli } from '../src/cli/cli.ts'
import { freshDatabase, type TestDatabase } from './database.ts'

/** A sandbox installation with a folder, in which each test runs commands. */
export type TestCli = {
  /** The database of the current test. */
  readonly database: TestDatabase
  /** The working directory of the commands. */
  readonly folder: string
  /** Runs a command line, whose words are separated by spaces, with more arguments, and returns its output. */
  run(line: string, ...more: string[]): Promise<string>
  /** Does the same with `--json` and returns the parsed output. */
  // biome-ignore lint/suspicious/noExplicitAny: the JSON of any command
  json(line: string, ...more: string[]): Promise<any>
}

/** Creates a database and a folder before each test, and removes them after it. */
export function useCli(): TestCli {
  let database: TestDatabase
  let folder: string

  beforeEach(async () => {
    database = await freshDatabase()
    folder = mkdtempSync(join(tmpdir(), 'carillon-cli-'))
    await database.db.exec('mode', `insert into installation (mode) values ('sandbox')`)
  })

  afterEach(async () => {
    rmSync(folder, { recursive: true, force: true })
    await database.close()
  })

  function run(line: string, ...more: string[]): Promise<string> {
    const args = [...line.split(' ').filter((word) => word !== ''), ...more]
    return runCli({ args, env: { DATABASE_URL: database.url }, cwd: folder })
  }

  return {
    get database() {
      return database
    },
    get folder() {
      return folder
    },
    run,
    json: async (line, ...more) => JSON.parse(await run(line, ...more, '--json')),
  }
}
