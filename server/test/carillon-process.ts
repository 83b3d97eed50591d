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

// Carillon as a real process tree on a directory of its own, for tests that start, kill and look what is left.

const standInStart = fileURLToPath(new URL('stand-ins/start.ts', import.meta.url))

export type Carillon = {
  /** What was started: npm, or the supervisor itself. It leads a process group of its own. */
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
  /** Start it as `npm start` does, in this directory. */
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
        timeoutMs: 15_000,
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

/** What a test started is to end when the tests are killed: our own watchdog sees to it. */
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

/** Our environment with the pinned node first, and without what would steer Carillon or the inner npm. */
function inherited(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(CARILLON_|DATABASE_URL|npm_|VITEST|NODE_ENV)/.test(name),
  )
  const path = `${dirname(process.execPath)}:${process.env.PATH}`
  return { ...Object.fromEntries(kept), PATH: path }
}

export type Left = { pid: number; command: string }

/** The processes that belong to this data directory: by their environment, arguments or working directory. */
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

/** Finds a process of this data directory by what its command line holds. */
export function findProcess(dataDir: string, part: string): number | undefined {
  return processesOf(dataDir).find(({ command }) => command.includes(part))?.pid
}

/** Whether the port can be listened on. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = createServer()
  const free = await new Promise<boolean>((resolve) =>
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
  )
  if (free) await new Promise((resolve) => server.close(resolve))
  return free
}

/** Waits until the port is free and no process is left: a watchdog that is up has five seconds for that. */
export async function waitUntilFree(dataDir: string, port: number, timeoutMs = 5_000): Promise<void> {
  await waitFor(async () => (await isPortFree(port)) && processesOf(dataDir).length === 0, {
    timeoutMs,
    what: `port ${port} and the processes of ${dataDir} to be gone`,
  }).catch((e: Error) => {
    throw new Error(`${e.message}; left: ${JSON.stringify(processesOf(dataDir))}`)
  })
}

/** A directory for one test, and its end: whatever still runs on it is killed. */
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
