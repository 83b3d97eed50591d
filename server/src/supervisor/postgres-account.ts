import { spawnSync } from 'node:child_process'
import { readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { postgresEnv } from '../config/environment.ts'
import { OperatorError } from '../errors.ts'

/** The operating-system account that PostgreSQL runs as; only root needs an account other than its own. */
export type OsAccount = { name: string; uid: number; gid: number }

const preferred = ['nobody', 'postgres', 'daemon', 'www-data']
const maxSystemUid = 999

/**
 * Returns an unprivileged account of the passwd file, if possible one of the system without processes, so that no other
 * program uses it now. `busy` has the uids of the running processes; undefined means unknown. Throws OperatorError if there
 * is no account.
 */
export function findNamedAccount(busy?: ReadonlySet<number>, passwd?: string): OsAccount {
  const accounts = parsePasswd(passwd ?? readFileSync('/etc/passwd', 'utf8'))
  const idle = accounts.find(({ uid, gid }) => busy && uid <= maxSystemUid && gid > 0 && !busy.has(uid))
  const known = preferred.map((name) => accounts.find((account) => account.name === name))
  const account = idle ?? known.find((candidate) => candidate) ?? accounts[0]
  if (account) return account
  throw new OperatorError(
    'PostgreSQL does not run as root, and /etc/passwd has no other account. Add one (useradd carillon), run as an ordinary user, or set DATABASE_URL.',
  )
}

function parsePasswd(text: string): OsAccount[] {
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name: name ?? '', uid: Number(uid || 'NaN'), gid: Number(gid || 'NaN') }))
    .filter((account) => account.name !== '' && account.uid > 0 && account.gid >= 0)
}

/** Returns whether the account may traverse this directory and all its parents. */
export function canReach(account: OsAccount | undefined, path: string): boolean {
  if (!account) return true
  let directory = realpathSync(path)
  for (;;) {
    if (!mayTraverse(account, directory)) return false
    const parent = dirname(directory)
    if (parent === directory) return true
    directory = parent
  }
}

function mayTraverse(account: OsAccount, directory: string): boolean {
  const { uid, gid, mode } = statSync(directory)
  if (uid === account.uid) return (mode & 0o100) !== 0
  if (gid === account.gid) return (mode & 0o010) !== 0
  return (mode & 0o001) !== 0
}

/** Returns whether the account can run this binary, which modes of libraries and noexec mounts may prevent. */
export function canRun(account: OsAccount | undefined, binary: string): boolean {
  const { status } = spawnSync(binary, ['--version'], {
    ...asAccount(account),
    env: postgresEnv(),
    stdio: 'ignore',
    timeout: 10_000,
  })
  return status === 0
}

/** Returns the spawn options that run a process as the account. */
export function asAccount(account: OsAccount | undefined): { uid?: number; gid?: number; cwd?: string } {
  return account ? { uid: account.uid, gid: account.gid, cwd: '/' } : {}
}
