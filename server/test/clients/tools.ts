import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

// The generators and linters, which are downloaded to a cache outside the repository.

const pythonTools = { 'openapi-generator-cli': '7.26.0', 'openapi-python-client': '0.29.1' }
const nodeTools = { redocly: '@redocly/cli@2.77.0', spectral: '@stoplight/spectral-cli@6.16.3' }

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'carillon-clients')

/** The document, the directory for generated files, and the variables with the URL and the key of a running Carillon. */
export type Context = { document: string; root: string; directory: string; env: Record<string, string> }

export type Output = { code: number | null; text: string }

/** Runs a program and returns its exit code and its output, also if it fails; throws if it is not found. */
export async function run(command: string, args: string[], options: { cwd?: string; env?: object } = {}) {
  const env = { ...process.env, NO_COLOR: '1', ...options.env }
  const child = spawn(command, args, { ...options, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (text += String(bytes)))
  return new Promise<Output>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, text: text.trim() }))
  })
}

/** Runs a program and returns its output; throws with its last lines if it fails. */
export async function runOrFail(...call: Parameters<typeof run>): Promise<string> {
  const { code, text } = await run(...call)
  if (code !== 0) throw new Error(`${call[0]} exited with ${code}:\n${text.split('\n').slice(-25).join('\n')}`)
  return text
}

/** Returns the names of the programs that are not installed. */
export function missing(programs: Record<string, string[]>): string[] {
  return Object.entries(programs)
    .filter(([name, args]) => spawnSync(name, args, { stdio: 'ignore' }).status !== 0)
    .map(([name]) => name)
}

/** Returns the directory with the programs of these Python packages; installs the packages at first. */
export async function installPythonTools(tools: Record<string, string> = pythonTools): Promise<string> {
  const packages = Object.entries(tools).map(([name, version]) => `${name}==${version}`)
  const home = join(cache, packages.join('-'))
  const bin = join(home, 'bin')
  if (existsSync(join(home, 'installed'))) return bin
  mkdirSync(cache, { recursive: true })
  await runOrFail('python3', ['-m', 'venv', '--clear', home])
  await runOrFail(join(bin, 'pip'), ['install', '--quiet', ...packages])
  mkdirSync(join(home, 'installed'))
  return bin
}

/** Runs a linter by npm, which downloads it at first. */
export function runLinter(name: keyof typeof nodeTools, args: string[], cwd: string): Promise<Output> {
  const npm = join(cache, 'npm')
  return run('npm', ['exec', '--yes', `--cache=${npm}`, `--package=${nodeTools[name]}`, '--', name, ...args], { cwd })
}
