import { existsSync } from 'node:fs'
import { loadEnvFile } from 'node:process'
import { fileURLToPath } from 'node:url'

const envFile = fileURLToPath(new URL('../../../.env', import.meta.url))

/** Adds what the checkout's .env sets to the environment; what is set there already wins. */
export function loadEnvFileIfPresent(path = envFile) {
  if (existsSync(path)) loadEnvFile(path)
}
