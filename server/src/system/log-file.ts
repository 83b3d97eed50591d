import {
  closeSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { printable } from '../lib/printable.ts'

/** Number of files of a log: the current one, and `<name>.1` (the newest) to `<name>.4`. */
export const logFileCount = 5
/** Maximum length of a line, in characters. */
const maxLineLength = 16_384
const startLength = 4_000
/** Age from which a lock was left by a process that was killed; a rotation takes a few milliseconds. */
const staleLockMs = 5_000

const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT'

/**
 * A log of limited size. A line that does not fit into its file renames the file to `<name>.1`, and older files to the next
 * number; the oldest one is removed. Lines are appended whole, and no failure of the file throws: lines that cannot be
 * written are counted, and the log reports their number when it can be written again. Several processes may write to one log.
 */
export class LogFile {
  readonly #path: string
  readonly #maxBytes: number
  readonly #checkMs: number
  #fd: number | undefined
  #inode = 0
  #size = 0
  #checkedAt = Number.NEGATIVE_INFINITY
  #rotationFailed = false
  #isTorn = false
  #lost = 0
  #rest = ''

  /** `checkMs` is the time after which it detects that another process or an operator has moved or removed the file. */
  constructor(path: string, maxBytes: number, checkMs = 1_000) {
    this.#path = path
    this.#maxBytes = maxBytes
    this.#checkMs = checkMs
  }

  /** Writes one line, with its line end. */
  write(line: string): void {
    const octets = Buffer.byteLength(line)
    try {
      this.#prepare(octets)
      if (this.#lost > 0) this.#reportLost()
      this.#put(line, octets)
    } catch {
      this.#lost++
    }
  }

  /** Writes output of another process, whose pieces may end within a line; escapes characters that control a terminal. */
  append(output: string): void {
    const lines = (this.#rest + output).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.write(`${boundedLine(printable(line))}\n`)
    // a line without an end must not grow in memory
    if (this.#rest.length > maxLineLength) this.#endLine()
  }

  /** Closes the file, after a last line without an end; a later write opens it again. */
  close(): void {
    this.#endLine()
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #endLine() {
    const line = this.#rest
    this.#rest = ''
    if (line !== '') this.write(`${boundedLine(printable(line))}\n`)
  }

  #prepare(octets: number) {
    const now = performance.now()
    if (this.#fd === undefined || now - this.#checkedAt >= this.#checkMs) {
      this.#checkedAt = now
      this.#rotationFailed = false
      this.#follow()
    }
    if (this.#size === 0 || this.#size + octets <= this.#maxBytes) return
    if (!this.#rotationFailed) this.#rotate()
    // a directory that is not writable must not make the file grow without limit
    if (this.#size > 2 * this.#maxBytes) throw new Error('the log cannot be rotated')
  }

  /** Opens the file of the path, unless it is open. */
  #follow() {
    const found = statSync(this.#path, { throwIfNoEntry: false })
    if (this.#fd !== undefined && found?.ino === this.#inode) this.#size = found.size
    else this.#open()
  }

  #open() {
    try {
      finishRotation(this.#path)
      const fd = openForAppending(this.#path)
      if (this.#fd !== undefined) closeSync(this.#fd)
      this.#fd = fd
      const { ino, size } = fstatSync(fd)
      this.#inode = ino
      this.#size = size
    } catch (error) {
      // an open file accepts lines even if it was moved
      if (this.#fd === undefined) throw error
    }
  }

  #rotate() {
    try {
      // otherwise another process has renamed the file, or an operator has removed it
      const isCurrent = () => statSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode
      const rotateCurrent = () => void (isCurrent() && rotate(this.#path))
      // while another process rotates, lines are appended to the file
      if (isCurrent() && !withLock(this.#path, rotateCurrent)) return
      this.#open()
    } catch {
      this.#rotationFailed = true
    }
  }

  #reportLost() {
    const time = new Date().toISOString()
    const line = `${JSON.stringify({ level: 40, time, lost: this.#lost, msg: 'log lines lost' })}\n`
    this.#put(line, line.length)
    this.#lost = 0
  }

  #put(line: string, octets: number) {
    const fd = this.#fd as number
    if (this.#isTorn) {
      this.#size += writeSync(fd, '\n')
      this.#isTorn = false
    }
    let written = writeSync(fd, line)
    try {
      // the disk became full within the line
      if (written < octets) {
        const bytes = Buffer.from(line)
        while (written < octets) written += writeSync(fd, bytes, written)
      }
    } catch (error) {
      this.#removePart(fd, written)
      throw error
    }
    this.#size += octets
  }

  #removePart(fd: number, octets: number) {
    const { size } = fstatSync(fd)
    // another process may have appended a line to the part
    if (size === this.#size + octets) ftruncateSync(fd, this.#size)
    else this.#isTorn = true
  }
}

/** Returns a line, or the start of a line that is too long; a cut line of JSON is still JSON, of the same level. */
export function boundedLine(line: string): string {
  if (line.length <= maxLineLength) return line
  const start = line.slice(0, startLength)
  const level = /^\{"level":(\d+)/.exec(line)?.[1]
  if (level === undefined) return `${start}… (${line.length} characters)`
  const time = new Date().toISOString()
  return `${JSON.stringify({ level: Number(level), time, length: line.length, start, msg: 'log line too long' })}\n`
}

/** Returns the last lines of a log for an error message, indented; none if the file does not exist. */
export function lastLines(path: string, count = 5): string {
  const octets = 64 * 1024
  try {
    const fd = openSync(path, 'r')
    const bytes = Buffer.alloc(octets)
    const read = readSync(fd, bytes, 0, octets, Math.max(0, fstatSync(fd).size - octets))
    closeSync(fd)
    const lines = bytes.toString('utf8', 0, read).trimEnd().split('\n').slice(-count)
    return lines.map((line) => `\n  ${line.slice(0, 500)}`).join('')
  } catch {
    return ''
  }
}

function openForAppending(path: string): number {
  try {
    return openSync(path, 'a', 0o600)
  } catch (error) {
    if (!isMissing(error)) throw error
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return openSync(path, 'a', 0o600)
  }
}

/**
 * Renames `path` to `path.1`, and older files to the next number, up to a gap that a kill between two renames has left. The
 * last step is a link, which fails if a concurrent rotation has already made `path.1`: a rename would replace that file.
 */
function rotate(path: string) {
  const numbered = (n: number) => `${path}.${n}`
  const exists = (n: number) => statSync(numbered(n), { throwIfNoEntry: false }) !== undefined
  let last = 1
  while (last < logFileCount - 1 && exists(last)) last++
  for (let n = last; n > 1; n--) renameIfExists(numbered(n - 1), numbered(n))
  try {
    linkSync(path, numbered(1))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    // a file system without links
    renameSync(path, numbered(1))
    return
  }
  unlinkSync(path)
}

/** Removes the first name of a file that has both names, because a kill ended its rotation between link and unlink. */
function finishRotation(path: string) {
  const hasBoth = () => {
    const current = statSync(path, { throwIfNoEntry: false })
    return current && current.nlink > 1 && statSync(`${path}.1`, { throwIfNoEntry: false })?.ino === current.ino
  }
  if (hasBoth()) withLock(path, () => void (hasBoth() && unlinkSync(path)))
}

/**
 * Does work that renames the files of a log, unless another process does so; returns whether it did. Without the lock, the second
 * of two rotations could remove the new file of the first one.
 */
function withLock(path: string, work: () => void): boolean {
  const lock = `${path}.lock`
  try {
    closeSync(openSync(lock, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const { mtimeMs } = statSync(lock, { throwIfNoEntry: false }) ?? {}
    if (mtimeMs !== undefined && Math.abs(Date.now() - mtimeMs) > staleLockMs) unlinkSync(lock)
    return false
  }
  try {
    work()
  } finally {
    unlinkSync(lock)
  }
  return true
}

function renameIfExists(from: string, to: string) {
  try {
    renameSync(from, to)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}
