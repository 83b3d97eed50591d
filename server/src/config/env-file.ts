import { existsSync } from 'node:fs'
import { loadEnvFile } from 'node:process'
import { fileURLToPath } from 'node:url'

const envFile = fileURLToPath(new URL('../../../.env', import.meta.url))

/** Adds the variables of the checkout's .env to the environment; variables that are already set take precedence. */
export function loadEnvFileIfPresent(path = envFile) {
  if (existsSync(path)) loadEnvFile(path)
}
