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
import { makeFilesPrivate, privateUmask } from './private-files.ts'
import { identify, isRunning, killGroup, type ProcessId, waitUntilGone } from './processes.ts'
import { secretKeyName } from './secret-key.ts'

const product = 'carillon'
const format = 1
const markerName = 'carillon.json'
const lockName = 'lock'

/** The data directory, locked by this process until release(). */
export type DataDir = {
  path: string
  logDir: string
  /** Records the processes that a later start must kill if this supervisor and its watchdog are both killed. */
  record(watchdog: ProcessId | undefined, children: readonly ProcessId[]): void
  release(): void
}

type Lock = ProcessId & { watchdog?: ProcessId; children: ProcessId[] }

/**
 * Opens and locks the data directory; creates it if it does not exist, kills remaining processes of a killed instance, and
 * makes existing files private. Throws OperatorError if the directory contains other files, is in use, or has the other mode.
 */
export async function openDataDir(dataDir: string, mode: string, report: (line: string) => void): Promise<DataDir> {
  const path = makeDirectory(dataDir)
  process.umask(privateUmask)
  checkMarker(path, mode)
  const lockFile = join(path, lockName)
  const me = identify(process.pid)
  if (!me) throw new Error('this process cannot be identified')
  await acquireLock(lockFile, me, path, report)
  const marker = join(path, markerName)
  if (!existsSync(marker)) writeFileAtomically(marker, `${JSON.stringify({ product, format, mode }, null, 2)}\n`)
  const logDir = join(path, 'log')
  mkdirSync(logDir, { recursive: true, mode: 0o700 })
  const exposed = makeFilesPrivate(path)
  if (exposed.length > 0) report(`Other accounts can use ${exposed.join(', ')}, and this account cannot change that.`)
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

/** Returns a directory's mode and whether it is in use; undefined if it is not a data directory of Carillon. */
export function inspectDataDir(path: string): { mode: string; inUse: boolean } | undefined {
  const marker = join(path, markerName)
  const found = existsSync(marker) ? parse<{ product: string; mode: string }>(readFileSync(marker, 'utf8')) : undefined
  if (found?.product !== product) return undefined
  const owner = readLock(join(path, lockName))
  return { mode: found.mode, inUse: owner !== undefined && isRunning(owner) }
}

/** Sets the mode of an open data directory. */
export function changeMode({ path }: DataDir, mode: string) {
  writeFileAtomically(join(path, markerName), `${JSON.stringify({ product, format, mode }, null, 2)}\n`)
}

function makeDirectory(path: string): string {
  try {
    // the PostgreSQL of root runs as another account, which must traverse this directory; secret files in it are mode 0600
    const isNew = mkdirSync(path, { recursive: true }) !== undefined
    if (isNew) chmodSync(path, process.getuid?.() === 0 ? 0o711 : 0o700)
    return realpathSync(path)
  } catch (e) {
    throw new OperatorError(
      `The data directory ${path} cannot be created: ${(e as Error).message}. Set CARILLON_DATA_DIR.`,
    )
  }
}

function checkMarker(path: string, mode: string) {
  // an operator may put the secret key of another installation into a new directory, before a restore; an api role with
  // DATABASE_URL has no other files there than those of unfinished uploads and of clicks
  const allowed = [secretKeyName, 'uploads', 'clicks']
  const names = readNames(path).filter((name) => !name.startsWith(lockName) && !allowed.includes(name))
  const marker = join(path, markerName)
  if (!existsSync(marker)) {
    if (names.length === 0) return
    throw new OperatorError(
      `${path} is not a data directory of Carillon and contains other files. Set CARILLON_DATA_DIR to an empty directory or to one that does not exist yet.`,
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
      `${path} is in ${found.mode} mode, but CARILLON_MODE is ${mode}. Set CARILLON_MODE=${found.mode}, or CARILLON_DATA_DIR to another directory.`,
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

async function acquireLock(
  lockFile: string,
  me: ProcessId,
  path: string,
  report: (line: string) => void,
): Promise<void> {
  const draft = `${lockFile}.${randomBytes(4).toString('hex')}`
  for (;;) {
    const owner = readLock(lockFile)
    if (owner && isRunning(owner)) {
      throw new OperatorError(
        `${path} is in use by another instance of Carillon (process ${owner.pid}). Stop that one, or set CARILLON_DATA_DIR to another directory.`,
      )
    }
    if (owner) await endRemainingProcesses(owner, report)
    if (existsSync(lockFile)) removeStaleLock(lockFile, owner)
    writeFileSync(draft, JSON.stringify({ ...me, children: [] } satisfies Lock), { mode: 0o600 })
    try {
      linkSync(draft, lockFile) // fails if a concurrent start has created the lock
      return
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e
    } finally {
      rmSync(draft, { force: true })
    }
  }
}

/** Removes a stale lock file; restores it if it is the new lock of a concurrent start. */
function removeStaleLock(lockFile: string, stale: Lock | undefined) {
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

/** Waits until the processes of a killed supervisor have ended, because two instances must not share a database. */
async function endRemainingProcesses({ watchdog, children }: Lock, report: (line: string) => void): Promise<void> {
  if (watchdog && isRunning(watchdog)) {
    report('The last run was killed; waiting for its processes to end.')
    if (!(await waitUntilGone([watchdog], 8_000))) killGroup(watchdog.pid)
  }
  const remaining = children.filter(isRunning)
  for (const { pid } of remaining) killGroup(pid)
  if (!(await waitUntilGone(remaining, 5_000))) {
    throw new OperatorError(
      `Processes of the last run cannot be killed: ${remaining.map(({ pid }) => pid).join(', ')}.`,
    )
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

/** Writes a file atomically, by renaming a draft. */
export function writeFileAtomically(path: string, text: string) {
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
}
