import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { renderEnvExample } from '../config/env-example.ts'

// Writes .env.example from the table of settings; with --check it only checks whether the file is up to date.
const file = fileURLToPath(new URL('../../../.env.example', import.meta.url))
const text = renderEnvExample()

if (!process.argv.includes('--check')) {
  writeFileSync(file, text)
} else if (readFileSync(file, 'utf8') !== text) {
  console.error('.env.example is out of date: run node server/src/bin/env-example.ts')
  process.exitCode = 1
}
