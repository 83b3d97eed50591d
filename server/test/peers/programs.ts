import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

/** Returns whether the program, or the module of "perl Module", is installed. */
export function isInstalled(program: string): boolean {
  const [name = '', module] = program.split(' ')
  const args = module ? [`-M${module}`, '-e', '1'] : ['--version']
  return (
    spawnSync(name, args, { stdio: 'ignore' }).error === undefined && (!module || spawnSync(name, args).status === 0)
  )
}

/** Installs the packages whose program is missing; returns the reason if that fails. */
export function install(packages: Record<string, string>): string | undefined {
  const names = missingOf(packages)
  if (names.length === 0) return undefined
  if (process.getuid?.() !== 0) return `${names.join(', ')} not installed, and only root can install packages`
  if (!isInstalled('apt-get')) return `${names.join(', ')} not installed, and apt-get is missing`
  console.log(`installing ${names.join(', ')}`)
  const quiet = { stdio: 'ignore' as const, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
  try {
    execFileSync('apt-get', ['update'], quiet)
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', ...names], quiet)
  } catch {
    return `apt-get failed to install ${names.join(', ')}`
  }
  // Debian starts installed services, whose ports other programs may need
  for (const service of ['kannel', 'nginx']) if (names.includes(service)) spawnSync('service', [service, 'stop'], quiet)
  const missing = missingOf(packages)
  return missing.length > 0 ? `${missing.join(', ')} installed, but not found in PATH` : undefined
}

function missingOf(packages: Record<string, string>): string[] {
  return Object.keys(packages).filter((name) => !isInstalled(packages[name] ?? ''))
}

/** A child process; `stop` sends SIGTERM, and SIGKILL after 5 s. */
export class Program {
  readonly #child: ChildProcess
  #ended: Promise<unknown>

  constructor(command: string, args: string[], onLine: (line: string) => void = () => {}) {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#ended = once(this.#child, 'close')
    this.#child.on('error', () => {})
    if (this.#child.stdout) createInterface(this.#child.stdout).on('line', onLine)
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  async waitForExit(): Promise<void> {
    await this.#ended
  }

  async stop(): Promise<void> {
    if (!this.running) return
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5_000)
    await this.#ended
    clearTimeout(timer)
  }
}

/** Returns a port that was free a moment ago, for programs that cannot choose a port. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
