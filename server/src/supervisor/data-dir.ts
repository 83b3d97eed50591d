import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { OperatorError } from '../errors.ts'
import { identify, isRunning, killGroup, type ProcessId, waitUntilGone } from './processes.ts'

const product = 'carillon'
const format = 1
const markerName = 'carillon.json'
const lockName = 'lock'

/** The data directory, ours alone until it is released. */
export type DataDir = {
  path: string
  logDir: string
  /** Writes down what a later start must wait for or end, should this supervisor and its watchdog both be killed. */
  record(watchdog: ProcessId | undefined, children: readonly ProcessId[]): void
  release(): void
}

type Lock = ProcessId & { watchdog?: ProcessId; children: ProcessId[] }

/**
 * Opens the data directory for this process, making it the first time. Refuses one that holds something else, is in
 * use, or belongs to another mode. What a killed instance left running is ended first.
 */
export async function openDataDir(wanted: string, mode: string, report: (line: string) => void): Promise<DataDir> {
  const path = makeDirectory(wanted)
  checkMarker(path, mode)
  const lockFile = join(path, lockName)
  const me = identify(process.pid)
  if (!me) throw new Error('this process cannot be identified')
  await takeLock(lockFile, me, path, report)
  const marker = join(path, markerName)
  if (!existsSync(marker)) writeFileAtomically(marker, `${JSON.stringify({ product, format, mode }, null, 2)}\n`)
  const logDir = join(path, 'log')
  mkdirSync(logDir, { recursive: true, mode: 0o700 })
  return {
    path,
    logDir,
    record(watchdog, children) {
      writeFileAtomically(lockFile, JSON.stringify({ ...me, watchdog, children: [...children] } satisfies Lock))
    },
    release() {
      if (readLock(lockFile)?.start === me.start) rmSync(lockFile, { force: true })
    },
  }
}

/** What is known of a data directory without opening it; undefined when there is none of ours. */
export function inspectDataDir(path: string): { mode: string; inUse: boolean } | undefined {
  const marker = join(path, markerName)
  const found = existsSync(marker) ? parse<{ product: string; mode: string }>(readFileSync(marker, 'utf8')) : undefined
  if (found?.product !== product) return undefined
  const holder = readLock(join(path, lockName))
  return { mode: found.mode, inUse: holder !== undefined && isRunning(holder) }
}

/** From now on the directory belongs to another mode. The caller has it open. */
export function changeMode({ path }: DataDir, mode: string) {
  writeFileAtomically(join(path, markerName), `${JSON.stringify({ product, format, mode }, null, 2)}\n`)
}

function makeDirectory(path: string): string {
  try {
    // root's database runs on an account that must be able to pass through here; secrets inside have modes of their own
    const isNew = mkdirSync(path, { recursive: true }) !== undefined
    if (isNew) chmodSync(path, process.getuid?.() === 0 ? 0o711 : 0o700)
    return realpathSync(path)
  } catch (e) {
    throw new OperatorError(
      `The data directory ${path} cannot be made: ${(e as Error).message}. Set CARILLON_DATA_DIR.`,
    )
  }
}

function checkMarker(path: string, mode: string) {
  const names = readNames(path).filter((name) => !name.startsWith(lockName))
  const marker = join(path, markerName)
  if (!existsSync(marker)) {
    if (names.length === 0) return
    throw new OperatorError(
      `${path} holds other files and is not a data directory of Carillon. Set CARILLON_DATA_DIR to an empty directory or to one that does not exist yet.`,
    )
  }
  const found = parse<{ product: string; format: number; mode: string }>(readFileSync(marker, 'utf8'))
  if (found?.product !== product) {
    throw new OperatorError(`${marker} is damaged or not Carillon's. Set CARILLON_DATA_DIR to another directory.`)
  }
  if (found.format !== format) {
    throw new OperatorError(
      `${path} was written by another version of Carillon (format ${found.format}; this one: ${format}).`,
    )
  }
  if (found.mode !== mode) {
    throw new OperatorError(
      `${path} holds the data of ${found.mode} mode, and CARILLON_MODE is ${mode}. Set CARILLON_MODE=${found.mode}, or CARILLON_DATA_DIR to another directory.`,
    )
  }
}

function readNames(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (e) {
    throw new OperatorError(
      `The data directory ${path} cannot be read: ${(e as Error).message}. Set CARILLON_DATA_DIR.`,
    )
  }
}

async function takeLock(lockFile: string, me: ProcessId, path: string, report: (line: string) => void): Promise<void> {
  const draft = `${lockFile}.${randomBytes(4).toString('hex')}`
  for (;;) {
    const holder = readLock(lockFile)
    if (holder && isRunning(holder)) {
      throw new OperatorError(
        `${path} is in use by another instance of Carillon (process ${holder.pid}). Stop that one, or set CARILLON_DATA_DIR to another directory.`,
      )
    }
    if (holder) await endLeftovers(holder, report)
    if (existsSync(lockFile)) moveAside(lockFile, holder)
    writeFileSync(draft, JSON.stringify({ ...me, children: [] } satisfies Lock), { mode: 0o600 })
    try {
      linkSync(draft, lockFile) // fails where another start was faster
      return
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e
    } finally {
      rmSync(draft, { force: true })
    }
  }
}

/** Takes a stale lock away; puts it back if it turns out to be that of another start which was faster. */
function moveAside(lockFile: string, stale: Lock | undefined) {
  const aside = `${lockFile}.${randomBytes(4).toString('hex')}`
  try {
    renameSync(lockFile, aside)
    const moved = readLock(aside)
    if (moved && (moved.pid !== stale?.pid || moved.start !== stale.start)) linkSync(aside, lockFile)
  } catch (e) {
    if (!['ENOENT', 'EEXIST'].includes((e as NodeJS.ErrnoException).code ?? '')) throw e
  } finally {
    rmSync(aside, { force: true })
  }
}

/** A killed supervisor's watchdog ends its processes by itself; two that work on one database would not do. */
async function endLeftovers({ watchdog, children }: Lock, report: (line: string) => void): Promise<void> {
  if (watchdog && isRunning(watchdog)) {
    report('The last run was killed; waiting until its processes have ended.')
    if (!(await waitUntilGone([watchdog], 8_000))) killGroup(watchdog.pid)
  }
  const left = children.filter(isRunning)
  for (const { pid } of left) killGroup(pid)
  if (!(await waitUntilGone(left, 5_000))) {
    throw new OperatorError(`Processes of the last run do not end: ${left.map(({ pid }) => pid).join(', ')}.`)
  }
}

function readLock(lockFile: string): Lock | undefined {
  try {
    return parse<Lock>(readFileSync(lockFile, 'utf8'))
  } catch {
    return undefined
  }
}

function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T
  } catch {
    return undefined
  }
}

/** Writes a file that is never seen half written. */
export function writeFileAtomically(path: string, text: string) {
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
}
