import { randomInt } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { OperatorError } from '../errors.ts'
import { writeFileAtomically } from './data-dir.ts'
import { findNamedAccount, type OsAccount } from './postgres-account.ts'

// As root, each installation's PostgreSQL has a uid of its own, which no other program uses. An account such as nobody is
// shared with other programs, which could read the database.

/** Ranges of uids that no Linux distribution assigns; the second one is for containers that map 65,536 uids. */
const ranges = [
  [1_879_048_192, 2_147_400_000],
  [60_578, 61_183],
] as const
const attempts = 100

/** The uids and gids that are mapped into this container, those with an entry in passwd or group, and those of processes. */
export type KnownIds = { uidMap: string; gidMap: string; named: ReadonlySet<number>; busy: ReadonlySet<number> }

/**
 * Returns the account of the PostgreSQL of this home if this process is root, else undefined. The account is a number that the
 * home records. Where such a number cannot be used, returns an existing account, and reports the reason.
 */
export function claimAccount(home: string, report: (line: string) => void): OsAccount | undefined {
  if (process.getuid?.() !== 0) return undefined
  const known = readKnownIds()
  const id = recordedId(home, known) ?? chooseId(known)
  const reason = id === undefined ? 'this container has no unused uid' : reasonAgainst(home, id)
  if (id !== undefined && reason === undefined) {
    writeFileAtomically(recordOf(home), `${id}\n`)
    return { name: `uid ${id}`, uid: id, gid: id }
  }
  const account = findNamedAccount()
  report(`PostgreSQL shares the account ${account.name} with other programs: ${reason}.`)
  return account
}

const recordOf = (home: string) => join(home, 'account')

/** Returns the recorded id if it may be used; processes with it are not counted, because they may be this installation's own. */
function recordedId(home: string, known: KnownIds): number | undefined {
  const id = Number(readOrEmpty(recordOf(home)).trim() || 'NaN')
  const isOurs = ranges.some(([first, last]) => id >= first && id <= last)
  return isOurs && Number.isInteger(id) && isMapped(id, known) && !known.named.has(id) ? id : undefined
}

/** Returns a random unused id; undefined if this container maps none. */
export function chooseId(known: KnownIds): number | undefined {
  for (const [first, last] of ranges) {
    for (let n = 0; n < attempts; n++) {
      const id = randomInt(first, last + 1)
      if (isMapped(id, known) && !known.named.has(id) && !known.busy.has(id)) return id
    }
  }
  return undefined
}

function isMapped(id: number, { uidMap, gidMap }: KnownIds): boolean {
  return [uidMap, gidMap].every(
    (map) => map === '' || rangesOf(map).some(([first, count]) => id >= first && id < first + count),
  )
}

/** Returns the first id and the number of ids of each line of a map: id inside, id outside, number. */
function rangesOf(map: string): [number, number][] {
  const lines = map.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  return lines.filter(({ length }) => length === 3).map(([first = 0, , count = 0]) => [first, count])
}

function readKnownIds(): KnownIds {
  const entries = [readOrEmpty('/etc/passwd'), readOrEmpty('/etc/group')].flatMap((text) => text.split('\n'))
  const named = entries.flatMap((line) => line.split(':').slice(2, 4)).filter((cell) => /^\d+$/.test(cell))
  return {
    uidMap: readOrEmpty('/proc/self/uid_map'),
    gidMap: readOrEmpty('/proc/self/gid_map'),
    named: new Set(named.map(Number)),
    busy: uidsOfProcesses() ?? new Set(),
  }
}

/** Returns the uids of all processes; undefined if this system does not list them. */
export function uidsOfProcesses(): ReadonlySet<number> | undefined {
  if (process.platform !== 'linux') return undefined
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return new Set(pids.flatMap((pid) => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? []))
}

/** Returns why files in the home cannot be given to this id; undefined if they can. */
function reasonAgainst(home: string, id: number): string | undefined {
  const probe = join(home, 'account.probe')
  try {
    writeFileSync(probe, '', { mode: 0o600 })
    chownSync(probe, id, id)
    return undefined
  } catch (e) {
    return `files in ${home} cannot be given to another uid (${(e as NodeJS.ErrnoException).code})`
  } finally {
    rmSync(probe, { force: true })
  }
}

/**
 * Makes the account the owner of a cluster whose server does not run; does nothing if it is. A kill leaves the directory to
 * root, so that the next call repeats it. Throws OperatorError for a link to a place outside of the cluster.
 */
export function giveCluster(clusterDir: string, account: OsAccount) {
  if (lstatSync(clusterDir).uid === account.uid) return
  try {
    giveDirectory(clusterDir, account)
  } catch (e) {
    if (e instanceof OperatorError) throw e
    throw new OperatorError(
      `The database cannot be given to the account that PostgreSQL runs as, ${account.name}: ${(e as Error).message}`,
    )
  }
}

/**
 * Gives everything in the directory to the account, and then the directory. Before an entry is examined, its directory
 * belongs to root, so that no process of the previous owner can exchange the entry for a link.
 */
function giveDirectory(directory: string, account: OsAccount) {
  lchownSync(directory, 0, 0)
  chmodSync(directory, 0o700)
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    const stat = lstatSync(path)
    if (stat.isDirectory()) giveDirectory(path, account)
    else {
      if (stat.isSymbolicLink())
        throw new OperatorError(`${path} is a symbolic link. Replace it by what it refers to, then start again.`)
      if (stat.nlink > 1)
        throw new OperatorError(`${path} has more than one name. Replace it by a copy, then start again.`)
      lchownSync(path, account.uid, account.gid)
    }
  }
  lchownSync(directory, account.uid, account.gid)
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
