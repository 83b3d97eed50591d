// The directory for the temporary files of a test run. The tests create and delete hundreds of thousands of small files, of
// databases above all. After many deletions ext4 takes up to 0.2 ms of CPU time to create a file, because it avoids the inodes
// that were deleted in the last minutes: a clone of the test database took 250 ms, and takes 15 ms in memory (29 November 2026).
// As a program, `temporary-folder.mjs PID` prints the path of a new directory.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const prefix = 'carillon-tests-'
const memory = '/dev/shm'
// a run with three workers uses up to 1.5 GB
const minFree = 4 * 2 ** 30

/**
 * Creates a directory that every account can traverse, as root's PostgreSQL must: in memory, if 4 GB are free there and
 * TMPDIR does not name another location. The caller removes it; if the process `owner` is killed, the next run does.
 */
export function makeTemporaryFolder(owner) {
  const parent = process.env.TMPDIR === undefined && isMemoryUsable() ? memory : tmpdir()
  if (parent === memory) removeFoldersOfDeadRuns()
  const folder = mkdtempSync(join(parent, `${prefix}${owner}-`))
  chmodSync(folder, 0o711)
  return folder
}

/** Returns whether files in memory can be executed and have enough space. */
function isMemoryUsable() {
  try {
    const mount = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .findLast(([, path]) => path === memory)
    if (mount?.[2] !== 'tmpfs' || mount[3].split(',').includes('noexec')) return false
    const { bavail, bsize } = statfsSync(memory)
    return bavail * bsize >= minFree && process.availableMemory() >= minFree
  } catch {
    return false // another system, or a Node without availableMemory
  }
}

function removeFoldersOfDeadRuns() {
  for (const name of readdirSync(memory)) {
    if (!name.startsWith(prefix)) continue
    try {
      process.kill(Number.parseInt(name.slice(prefix.length), 10), 0)
    } catch (error) {
      if (error.code === 'ESRCH') rmSync(join(memory, name), { recursive: true, force: true })
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(makeTemporaryFolder(process.argv[2]))
