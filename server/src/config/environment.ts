import { existsSync } from 'node:fs'
import { loadEnvFile } from 'node:process'
import { fileURLToPath } from 'node:url'

const envFile = fileURLToPath(new URL('../../../.env', import.meta.url))

/** Adds the variables of the checkout's .env to the environment; variables that are already set take precedence. */
export function loadEnvFileIfPresent(path = envFile) {
  if (existsSync(path)) loadEnvFile(path)
}

/**
 * Returns the environment for PostgreSQL's programs: without PGDATA, PGPORT and similar variables, which would override the
 * arguments of initdb and the server, and without Carillon's settings, which may contain secrets.
 */
export function postgresEnv(): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(
    ([name]) => !/^(PG|LC_|LANG|TZ$|DATABASE_URL$|CARILLON_)/.test(name),
  )
  return { ...Object.fromEntries(passed), LC_ALL: 'C' }
}
