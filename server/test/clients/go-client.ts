import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Checks } from '../peers/checks.ts'
import { type Context, installPythonTools, runOrFail } from './tools.ts'

const calls = fileURLToPath(new URL('calls.go', import.meta.url))
const timeoutMs = 600_000

/** Generates a client in Go with openapi-generator, compiles it, and calls Carillon with it. */
export async function checkGoClient(checks: Checks, { document, directory, env }: Context) {
  const cwd = join(directory, 'go')
  const generate = async () => {
    const bin = await installPythonTools()
    const names = ['--git-host=example.org', '--git-user-id=carillon', '--git-repo-id=carillon-go']
    const target = ['-g', 'go', '-i', document, '-o', cwd, '--package-name=carillon', ...names]
    await runOrFail(join(bin, 'openapi-generator-cli'), ['generate', ...target])
  }
  const compile = async () => {
    await runOrFail('go', ['mod', 'tidy'], { cwd })
    await runOrFail('go', ['build', './...'], { cwd })
    await runOrFail('go', ['vet', './...'], { cwd })
  }
  const call = async () => {
    mkdirSync(join(cwd, 'calls'))
    copyFileSync(calls, join(cwd, 'calls', 'main.go'))
    await runOrFail('go', ['run', './calls'], { cwd, env })
  }
  if (!(await checks.check('openapi-generator generates a client in Go', generate, timeoutMs))) return
  if (!(await checks.check('the client compiles, and go vet reports nothing', compile, timeoutMs))) return
  await checks.check('the client calls Carillon', call, timeoutMs)
}
