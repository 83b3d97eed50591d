import { existsSync } from 'node:fs'
import { loadEnvFile } from 'node:process'
import { fileURLToPath } from 'node:url'
import { type Setting, type SettingName, settings } from './settings.ts'

const envFile = fileURLToPath(new URL('../../../.env', import.meta.url))

/** Adds the variables of the checkout's .env to the environment; variables that are already set take precedence. */
export function loadEnvFileIfPresent(path = envFile) {
  if (existsSync(path)) loadEnvFile(path)
}

// what a program needs to run; anything else may be a secret of another program
const systemNames =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LANGUAGE|LC_\w+|TMPDIR|TMP|TEMP|NODE_\w+|UV_\w+|MALLOC_\w+|NO_COLOR|FORCE_COLOR|SSL_CERT_(FILE|DIR)|(LD|DYLD)_\w+|FAKETIME\w*|DONT_FAKE_\w+|SYSTEMROOT|WINDIR|COMSPEC|PATHEXT)$/i
const testNames = /^CARILLON_(TEST|BENCH)_/

/** Returns an environment without secrets: the variables of the system, and the settings that are not secret. */
export function publicEnv(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return pick(env, (name) => systemNames.test(name) || testNames.test(name) || isPublicSetting(name))
}

function isPublicSetting(name: string): boolean {
  return Object.hasOwn(settings, name) && !(settings[name as SettingName] as Setting<unknown>).secret
}

/**
 * Returns the environment for PostgreSQL's programs: only variables of the system, without those of the locale and the time
 * zone. PGDATA, PGPORT and similar variables would override the arguments of initdb and the server.
 */
export function postgresEnv(): NodeJS.ProcessEnv {
  return { ...pick(process.env, (name) => systemNames.test(name) && !/^(LC_|LANG|TZ$)/.test(name)), LC_ALL: 'C' }
}

/** Returns the variables that complete the DATABASE_URL of an operator, such as PGPASSWORD and PGSSLMODE. */
export function databaseEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return pick(env, (name) => /^PG[A-Z_]+$/.test(name))
}

function pick(env: NodeJS.ProcessEnv, accepts: (name: string) => boolean): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => accepts(name)))
}
