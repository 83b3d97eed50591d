import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { identify, type ProcessId } from '../src/supervisor/processes.ts'
import type { KillList } from '../src/supervisor/watchdog.ts'
import { waitFor } from './wait-for.ts'

// Carillon as a real process tree with its own directory, for tests that start it, kill it and check what is left.

const standInStart = fileURLToPath(new URL('stand-ins/start.ts', import.meta.url))

export type Carillon = {
  /** The started process: npm or the supervisor. It leads its own process group. */
  process: ChildProcess
  dataDir: string
  output: () => string
  exit: Promise<{ code: number | null; by: NodeJS.Signals | null }>
  /** Waits for the banner and returns the port in it. */
  ready: () => Promise<number>
  supervisorPid: () => number
}

export type CarillonOptions = {
  dataDir: string
  env?: Record<string, string>
  /** Starts it as `npm start` does, in this directory. */
  npmIn?: string
  script?: string
}

/** Starts Carillon, with stand-ins for the roles unless another script is named, on any free port. */
export function startCarillon({ dataDir, env = {}, npmIn, script = standInStart }: CarillonOptions): Carillon {
  if (npmIn) writeFileSync(join(npmIn, 'package.json'), JSON.stringify({ scripts: { start: `exec node ${script}` } }))
  const [command, args] = npmIn ? ['npm', ['start', '--silent']] : [process.execPath, [script]]
  const child = spawn(command, args, {
    cwd: npmIn,
    env: { ...inherited(), CARILLON_DATA_DIR: dataDir, CARILLON_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  tie(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += String(bytes)))
  const exit = new Promise<{ code: number | null; by: NodeJS.Signals | null }>((resolve) =>
    child.once('close', (code, by) => resolve({ code, by })),
  )
  return {
    process: child,
    dataDir,
    output: () => output,
    exit,
    async ready() {
      const ended = exit.then(() => Promise.reject(new Error(`it ended instead of starting:\n${output}`)))
      const begun = waitFor(() => /Console +http:\/\/[^:]+:(\d+)\//.exec(output), {
        timeoutMs: 60_000,
        what: 'a banner',
      })
      return Number((await Promise.race([begun, ended]))[1])
    },
    supervisorPid: () => (JSON.parse(readFileSync(join(dataDir, 'lock'), 'utf8')) as { pid: number }).pid,
  }
}

const watchdogScript = fileURLToPath(new URL('../src/bin/watchdog.ts', import.meta.url))
const tied: ProcessId[] = []
let watchdog: ChildProcess | undefined

/** Ends the processes of a test when the tests are killed; the product's watchdog does it. */
function tie({ pid }: ChildProcess) {
  const id = pid === undefined ? undefined : identify(pid)
  if (!id) return
  if (!watchdog) {
    watchdog = spawn(process.execPath, [watchdogScript], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    watchdog.unref()
    ;(watchdog.stdin as Socket).unref()
  }
  tied.push(id)
  watchdog.stdin?.write(`${JSON.stringify({ roles: tied, clusterName: undefined } satisfies KillList)}\n`)
}

/** The environment with the pinned Node first and without variables that configure Carillon or the inner npm. */
function inherited(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(CARILLON_|DATABASE_URL|npm_|VITEST|NODE_ENV)/.test(name),
  )
  const path = `${dirname(process.execPath)}:${process.env.PATH}`
  return { ...Object.fromEntries(kept), PATH: path }
}

export type Left = { pid: number; command: string }

/** Returns the processes of this data directory, found by their environment, arguments or working directory. */
export function processesOf(dataDir: string): Left[] {
  const places = [dataDir, relocatedCluster(dataDir)].filter((place) => place !== undefined)
  const ours = (text: string) => places.some((place) => text.includes(place))
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => ({ pid: Number(pid), command: look(pid, 'cmdline').replaceAll('\0', ' ') }))
    .filter(({ command }) => command !== '') // the kernel's own, and zombies
    .filter(({ pid, command }) => ours(command) || ours(workingDirectory(pid)) || ours(look(pid, 'environ')))
}

function relocatedCluster(dataDir: string): string | undefined {
  const record = join(dataDir, 'postgres', 'location')
  return existsSync(record) ? readFileSync(record, 'utf8').trim() : undefined
}

function look(pid: number | string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}

/** Returns the process of this data directory whose command line contains the words. */
export function findProcess(dataDir: string, part: string): number | undefined {
  return processesOf(dataDir).find(({ command }) => command.includes(part))?.pid
}

/** Returns whether the port is free. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = createServer()
  const free = await new Promise<boolean>((resolve) =>
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
  )
  if (free) await new Promise((resolve) => server.close(resolve))
  return free
}

/** Waits until the port is free and no process is left; the watchdog needs up to five seconds. */
export async function waitUntilFree(dataDir: string, port: number, timeoutMs = 5_000): Promise<void> {
  await waitFor(async () => (await isPortFree(port)) && processesOf(dataDir).length === 0, {
    timeoutMs,
    what: `port ${port} and the processes of ${dataDir} to be gone`,
  }).catch((e: Error) => {
    throw new Error(`${e.message}; left: ${JSON.stringify(processesOf(dataDir))}`)
  })
}

/** Creates a directory for one test; `remove` kills its remaining processes and removes it. */
export function makeScratch(mode = 0o711): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'carillon-'))
  chmodSync(path, mode)
  const remove = () => {
    const dataDir = join(path, 'data')
    for (const { pid } of processesOf(path)) spawnSync('kill', ['-9', String(pid)])
    const cluster = relocatedCluster(dataDir)
    if (cluster) rmSync(dirname(cluster), { recursive: true, force: true })
    rmSync(path, { recursive: true, force: true })
  }
  return { path, remove }
}
