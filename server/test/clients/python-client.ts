import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Checks } from '../peers/checks.ts'
import { type Context, installPythonTools, runOrFail } from './tools.ts'

const calls = fileURLToPath(new URL('calls.py', import.meta.url))
const timeoutMs = 600_000

/** Generates a client in Python with openapi-python-client, compares its operations, and calls Carillon with it. */
export async function checkPythonClient(checks: Checks, { document, directory, env }: Context) {
  const target = join(directory, 'carillon_client')
  const generate = async () => {
    const bin = await installPythonTools()
    const output = ['--output-path', target, '--meta', 'none', '--fail-on-warning']
    const path = `${bin}:${process.env.PATH}`
    await runOrFail(join(bin, 'openapi-python-client'), ['generate', '--path', document, ...output], {
      env: { PATH: path },
    })
  }
  const compare = () => {
    const generated = readdirSync(join(target, 'api'), { recursive: true }).map(String)
    const modules = generated.filter((file) => file.endsWith('.py') && !file.endsWith('__init__.py'))
    const operations = countOperations(document)
    if (modules.length !== operations) throw new Error(`${modules.length} of ${operations} operations were generated`)
  }
  const call = async () => {
    const python = join(await installPythonTools(), 'python')
    await runOrFail(python, [calls], { env: { ...env, PYTHONPATH: directory, PYTHONDONTWRITEBYTECODE: '1' } })
  }
  if (!(await checks.check('openapi-python-client generates a client without a warning', generate, timeoutMs))) return
  await checks.check('the client has all operations', compare)
  await checks.check('the client calls Carillon', call, timeoutMs)
}

function countOperations(document: string): number {
  const { paths } = JSON.parse(readFileSync(document, 'utf8')) as { paths: Record<string, object> }
  return Object.values(paths).reduce((sum, methods) => sum + Object.keys(methods).length, 0)
}
