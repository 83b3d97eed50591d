import { chmodSync, lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** The umask of every process: no other account can read the files that it creates. */
export const privateUmask = 0o077

/**
 * Removes the permissions of other accounts from a data directory and everything in it, and returns the paths whose
 * permissions cannot be changed. As root, the account of PostgreSQL may traverse the two directories above its cluster.
 */
export function makeFilesPrivate(dataDir: string): string[] {
  const traversable = process.getuid?.() === 0 ? [dataDir, join(dataDir, 'postgres')] : []
  const failed: string[] = []
  const restrict = (path: string) => {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (!stat || stat.isSymbolicLink()) return
    const allowed = traversable.includes(path) ? 0o711 : 0o700
    if ((stat.mode & 0o777 & ~allowed) !== 0 && !tryChmod(path, stat.mode & allowed)) failed.push(path)
    if (!stat.isDirectory()) return
    for (const name of readdirSync(path)) {
      // PostgreSQL restricts its own files, and does not start if its directory is not private
      if (path !== join(dataDir, 'postgres') || !name.startsWith('cluster')) restrict(join(path, name))
    }
  }
  restrict(dataDir)
  return failed
}

function tryChmod(path: string, mode: number): boolean {
  try {
    chmodSync(path, mode)
    return true
  } catch {
    return false
  }
}
