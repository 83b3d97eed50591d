// npm run test:clients: checks openapi.json with linters, generates clients from it and calls a running Carillon with them.
// Checks whose programs are not installed are skipped. The generators are downloaded to ~/.cache/carillon-clients.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startCarillon } from '../carillon-process.ts'
import { Checks } from '../peers/checks.ts'
import { checkGoClient } from './go-client.ts'
import { checkLinters } from './linters.ts'
import { checkPythonClient } from './python-client.ts'
import { type Context, missing } from './tools.ts'

const document = fileURLToPath(new URL('../../../openapi.json', import.meta.url))
const start = fileURLToPath(new URL('../../src/bin/start.ts', import.meta.url))

const parts: {
  name: string
  programs: Record<string, string[]>
  run: (checks: Checks, context: Context) => Promise<void>
}[] = [
  { name: 'Linters', programs: { npm: ['--version'] }, run: checkLinters },
  {
    name: 'Go',
    programs: { python3: ['-m', 'venv', '--help'], java: ['-version'], go: ['version'] },
    run: checkGoClient,
  },
  { name: 'Python', programs: { python3: ['-m', 'venv', '--help'] }, run: checkPythonClient },
]

const checks = new Checks()
const directory = mkdtempSync(join(tmpdir(), 'carillon-clients-'))
const key = 'carillon_key_for_generated_clients'
const carillon = startCarillon({
  dataDir: join(directory, 'data'),
  env: { CARILLON_SANDBOX_API_KEY: key },
  script: start,
})
try {
  const port = await carillon.ready()
  const csv = join(directory, 'people.csv')
  writeFileSync(csv, 'phone_number,first_name\n2065550148,Ana\n2065550149,Ben\n')
  const env = { CARILLON_URL: `http://127.0.0.1:${port}`, CARILLON_KEY: key, CARILLON_CSV: csv }
  for (const { name, programs, run } of parts) {
    console.log(`\n${name}`)
    const absent = missing(programs)
    if (absent.length > 0) checks.skip(name, `${absent.join(', ')} not installed`)
    else await run(checks, { document, root: dirname(document), directory, env })
  }
} finally {
  carillon.process.kill('SIGTERM')
  await carillon.exit
  rmSync(directory, { recursive: true, force: true })
}
process.exitCode = checks.summarize() ? 0 : 1
