// `npm run test:fuzz`: schemathesis generates requests from openapi.json, valid and invalid ones, and sequences of them, sends them
// to a running Carillon, and checks the responses against the document. `-- --seconds 60` changes the time, `-- --seed 7`
// repeats the requests. schemathesis is installed from PyPI at first.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startCarillon } from '../carillon-process.ts'
import { installPythonTools, missing, run } from '../clients/tools.ts'
import { renderConfig } from './config.ts'
import type { Operation } from './exclusions.ts'

const start = fileURLToPath(new URL('../../src/bin/start.ts', import.meta.url))
const tools = { schemathesis: '4.32.5' }
const key = 'carillon_key_for_generated_requests'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '120' }, seed: { type: 'string' } } })
const seconds = Number(values.seconds)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
if (![seconds, seed].every(Number.isSafeInteger) || seconds < 1) {
  console.error('usage: npm run test:fuzz -- [--seconds 120] [--seed 7]')
  process.exit(2)
}

const program = await findSchemathesis()
if ('reason' in program) console.log(`SKIP  schemathesis: ${program.reason}`)
else process.exitCode = await fuzz(program.path)

/** Returns the path of schemathesis, which is installed at first, or the reason why it cannot be installed. */
async function findSchemathesis(): Promise<{ path: string } | { reason: string }> {
  if (missing({ python3: ['-m', 'venv', '--help'] }).length > 0) return { reason: 'python3 with venv not installed' }
  try {
    return { path: join(await installPythonTools(tools), 'schemathesis') }
  } catch (error) {
    return { reason: `pip failed to install it: ${(error as Error).message.split('\n').at(-1)}` }
  }
}

/** Tests a new Carillon and returns the exit code. */
async function fuzz(schemathesis: string): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'carillon-fuzz-'))
  const carillon = startCarillon({
    dataDir: join(directory, 'data'),
    env: { CARILLON_SANDBOX_API_KEY: key, CARILLON_RATE_LIMIT: 'off', CARILLON_LOG_LEVEL: 'error' },
    script: start,
  })
  try {
    const url = `http://127.0.0.1:${await carillon.ready()}`
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as Document
    const config = join(directory, 'schemathesis.toml')
    writeFileSync(config, renderConfig(operationsOf(document)))
    console.log(`schemathesis tests ${url} for ${seconds} s (--seed ${seed})`)
    const limits = ['--max-time', String(seconds), '--request-timeout', '20', '--seed', String(seed)]
    const args = ['--no-color', '--config-file', config, 'run', `${url}/openapi.json`, '--auth', `fuzz:${key}`]
    const { code, text } = await run(schemathesis, [...args, ...limits, '--warnings', 'off'], { cwd: directory })
    console.log(text)
    console.log(closingLine(text))
    return code ?? 1
  } finally {
    carillon.process.kill('SIGTERM')
    await carillon.exit
    rmSync(directory, { recursive: true, force: true })
  }
}

type Document = { paths: Record<string, Record<string, Omit<Operation, 'path' | 'method'>>> }

function operationsOf({ paths }: Document): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, path, method })),
  )
}

/** Returns the numbers of the report in one line. */
function closingLine(report: string): string {
  const [, operations = '0'] = /Tested: (\d+)/.exec(report) ?? []
  const [, calls = '0'] = /(\d+) generated/.exec(report) ?? []
  const [, failures = '0'] = /(\d+) unique failures?/.exec(report) ?? []
  return `${operations} operations, ${calls} test cases, ${failures} failures`
}
