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

// Carillon as a real process tree with its own directory, for tests that start it, kill it and check for remaining
// processes.

const standInStart = fileURLToPath(new URL('stand-ins/start.ts', import.meta.url))

export type Carillon = {
  /** The started process, npm or the supervisor, which leads its own process group. */
  process: ChildProcess
  dataDir: string
  output: () => string
  exit: Promise<{ code: number | null; by: NodeJS.Signals | null }>
  /** Waits for the banner and returns the API port in it. */
  ready: () => Promise<number>
  supervisorPid: () => number
}

export type CarillonOptions = {
  dataDir: string
  env?: Record<string, string>
  /** Directory in which to run `npm start`; without it, the script runs directly. */
  npmIn?: string
  script?: string
}

/** Starts Carillon, on a free port; by default with stand-ins for the roles. */
export function startCarillon({ dataDir, env = {}, npmIn, script = standInStart }: CarillonOptions): Carillon {
  if (npmIn) writeFileSync(join(npmIn, 'package.json'), JSON.stringify({ scripts: { start: `exec node ${script}` } }))
  const [command, args] = npmIn ? ['npm', ['start', '--silent']] : [process.execPath, [script]]
  const child = spawn(command, args, {
    cwd: npmIn,
    env: { ...inheritedEnv(), CARILLON_DATA_DIR: dataDir, CARILLON_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  endWithTests(child)
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
      const ended = exit.then(() => Promise.reject(new Error(`the process ended before it was ready:\n${output}`)))
      const banner = waitFor(() => /Console +http:\/\/[^:]+:(\d+)\//.exec(output), {
        timeoutMs: 60_000,
        what: 'the banner',
      })
      return Number((await Promise.race([banner, ended]))[1])
    },
    supervisorPid: () => (JSON.parse(readFileSync(join(dataDir, 'lock'), 'utf8')) as { pid: number }).pid,
  }
}

const watchdogScript = fileURLToPath(new URL('../src/bin/watchdog.ts', import.meta.url))
const watched: ProcessId[] = []
let watchdog: ChildProcess | undefined

/** Registers a process with the product's watchdog, which ends it if the test process is killed. */
export function endWithTests({ pid }: ChildProcess) {
  const id = pid === undefined ? undefined : identify(pid)
  if (!id) return
  if (!watchdog) {
    watchdog = spawn(process.execPath, [watchdogScript], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    watchdog.unref()
    ;(watchdog.stdin as Socket).unref()
  }
  watched.push(id)
  watchdog.stdin?.write(`${JSON.stringify({ roles: watched, clusterName: undefined } satisfies KillList)}\n`)
}

/**
 * Returns the environment with the pinned Node first in PATH, without variables that configure Carillon or the inner
 * npm.
 */
export function inheritedEnv(): NodeJS.ProcessEnv {
  const unrelated = Object.entries(process.env).filter(
    ([name]) => !/^(CARILLON_|DATABASE_URL|npm_|VITEST|NODE_ENV)/.test(name),
  )
  const path = `${dirname(process.execPath)}:${process.env.PATH}`
  return { ...Object.fromEntries(unrelated), PATH: path }
}

export type RunningProcess = { pid: number; command: string }

/** Returns the processes that have this data directory in their environment, arguments or working directory. */
export function processesOf(dataDir: string): RunningProcess[] {
  const folders = [dataDir, relocatedCluster(dataDir)].filter((folder) => folder !== undefined)
  const matches = (text: string) => folders.some((folder) => text.includes(folder))
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => ({ pid: Number(pid), command: readProc(pid, 'cmdline').replaceAll('\0', ' ') }))
    .filter(({ command }) => command !== '') // kernel threads and zombies
    .filter(
      ({ pid, command }) => matches(command) || matches(workingDirectory(pid)) || matches(readProc(pid, 'environ')),
    )
}

function relocatedCluster(dataDir: string): string | undefined {
  const record = join(dataDir, 'postgres', 'location')
  return existsSync(record) ? readFileSync(record, 'utf8').trim() : undefined
}

function readProc(pid: number | string, name: string): string {
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

/** Returns the process of this data directory whose command line contains `part`. */
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

/** Waits until the port is free and no process is running; the watchdog needs up to five seconds. */
export async function waitUntilFree(dataDir: string, port: number, timeoutMs = 5_000): Promise<void> {
  await waitFor(async () => (await isPortFree(port)) && processesOf(dataDir).length === 0, {
    timeoutMs,
    what: `port ${port} and the processes of ${dataDir} to end`,
  }).catch((e: Error) => {
    throw new Error(`${e.message}; still running: ${JSON.stringify(processesOf(dataDir))}`)
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
