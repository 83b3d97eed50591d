import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { postgresEnv } from '../config/environment.ts'
import { OperatorError } from '../errors.ts'
import { lastLines } from '../system/log-file.ts'
import { captureOutput } from './output.ts'
import { asAccount, findNamedAccount, type OsAccount } from './postgres-account.ts'
import { executable, findBinaries, findCluster, locateCluster, makePrivate, makeTraversable } from './postgres-files.ts'
import {
  database,
  ensureOwner,
  owner,
  passwordFiles,
  readPassword,
  superuser,
  writePassword,
} from './postgres-owner.ts'
import { killPostgres, signalPostgres } from './postgres-processes.ts'
import { postgresSettings } from './postgres-settings.ts'
import { claimAccount, giveCluster, uidsOfProcesses } from './postgres-uid.ts'
import { identify } from './processes.ts'

const socketPort = 5432 // part of the socket's file name, not a TCP port
const maxSocketPathLength = 103 // sun_path has 104 bytes on macOS, 108 on Linux

export type PostgresOptions = {
  /** The server's home, with the cluster and its password. The caller ensures that no other process uses it. */
  dataDir: string
  /** Settings in addition to, or instead of, those of postgres-settings.ts. */
  settings?: Record<string, string>
  /** The log file of PostgreSQL; `postgres.log` in dataDir by default. */
  log?: string
  /** Size at which the log file is rotated; 20 MB by default. */
  logFileBytes?: number
  /** The loopback port if no Unix socket can be used. A restart passes the previous one, so that the URL stays the same. */
  port?: number
  /** Writes a line for the operator. */
  report?: (line: string) => void
  /** Called with the cluster's name before any of its processes starts, so that the caller can kill them by that name. */
  onNamed?: (clusterName: string) => void
}

export type Postgres = {
  /** Connects to the database `carillon` as its owner, which is no superuser; the path selects another database. */
  url: string
  /** The same as superuser: for tests and measurements, never for a role. */
  superuserUrl: string
  pid: number
  /** The name in the process titles of the cluster. */
  clusterName: string
  /** The cluster's directory: below dataDir, unless this process is root and PostgreSQL's account cannot reach dataDir. */
  clusterDir: string
  /** The account that PostgreSQL runs as, if it is not the account of this process. */
  account: string | undefined
  port: number | undefined
  /** Resolves when the postmaster has exited, for any reason. */
  exited: Promise<void>
  /** Stops: `fast` rolls back open transactions, `immediate` skips the checkpoint. Resolves when all processes have exited. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  /** Sends SIGKILL to every process of the cluster. */
  kill(): void
}

/**
 * Starts the embedded PostgreSQL of this data directory and resolves when it accepts connections; creates the cluster and
 * the database if they do not exist. First removes the processes, socket and pid file of a killed server. Throws
 * OperatorError.
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 })
  const home = realpathSync(options.dataDir)
  const account = claimAccount(home, options.report ?? (() => {}))
  const binaries = findBinaries(account)
  const clusterDir = locateCluster(home, account)
  const clusterName = `carillon-${createHash('sha256').update(clusterDir).digest('hex').slice(0, 12)}`
  const settings: Record<string, string> = { ...postgresSettings, ...options.settings, cluster_name: clusterName }
  const log = options.log ?? join(home, 'postgres.log')

  options.onNamed?.(clusterName)
  await killPostgres(clusterName)
  const password = await ensureCluster({ home, clusterDir, binaries, account, sync: settings.fsync !== 'off' })
  for (const name of ['postmaster.pid', `.s.PGSQL.${socketPort}`, `.s.PGSQL.${socketPort}.lock`]) {
    rmSync(join(clusterDir, name), { force: true })
  }

  const port = needsTcp(clusterDir) ? (options.port ?? (await findFreePort())) : undefined
  const listen = port
    ? { listen_addresses: '127.0.0.1', unix_socket_directories: '', port: String(port) }
    : {
        listen_addresses: '',
        unix_socket_directories: quoteList(clusterDir),
        unix_socket_permissions: '0700',
        port: String(socketPort),
      }
  const flags = Object.entries({ ...settings, ...listen }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const postmaster = spawn(join(binaries, 'bin', executable('postgres')), ['-D', clusterDir, ...flags], {
    ...asAccount(account),
    env: postgresEnv(),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  // not a file: every process of the cluster inherits the descriptor, and no signal makes them open the next file
  const written = captureOutput(postmaster, log, options.logFileBytes ?? 20_000_000)
  const exited = new Promise<void>((resolve) => {
    postmaster.once('exit', () => resolve())
    postmaster.once('error', () => resolve())
  })
  const pid = postmaster.pid
  try {
    if (pid === undefined) throw new Error('PostgreSQL could not be started')
    await waitUntilReady(postmaster, clusterDir, pid)
    const host = port ? `127.0.0.1:${port}` : `${encodeURIComponent(clusterDir)}:${socketPort}`
    const superuserUrlOf = (name: string) => clusterUrl(superuser, password, host, name)
    const url = clusterUrl(owner, await ensureOwner(home, superuserUrlOf), host)
    const superuserUrl = superuserUrlOf(database)
    const stop = (mode: 'fast' | 'immediate' = 'fast') => stopPostmaster(postmaster, written, clusterName, mode)
    const kill = () => void signalPostgres(clusterName, 'SIGKILL')
    return { url, superuserUrl, pid, clusterName, clusterDir, account: account?.name, port, exited, stop, kill }
  } catch (e) {
    postmaster.kill('SIGKILL')
    await killPostgres(clusterName)
    await written
    throw new OperatorError(`${(e as Error).message} (see ${log})${lastLines(log)}`)
  }
}

function clusterUrl(role: string, password: string, host: string, name = database): string {
  return `postgresql://${role}:${password}@${host}/${name}`
}

/**
 * Returns the URL of the server that runs in this data directory, for a program that did not start it; undefined if no
 * server is ready. PostgreSQL records its address in its pid file.
 */
export function findRunningPostgres(
  dataDir: string,
  role: typeof owner | typeof superuser = owner,
): string | undefined {
  const clusterDir = findCluster(dataDir)
  if (clusterDir === undefined) return undefined
  try {
    const [pid, , , port, socketDir, , , state] = readFileSync(join(clusterDir, 'postmaster.pid'), 'utf8').split('\n')
    if (state?.trim() !== 'ready' || identify(Number(pid)) === undefined) return undefined
    const password = readPassword(dataDir, role)
    if (password === undefined) return undefined
    const host = socketDir ? `${encodeURIComponent(socketDir)}:${port}` : `127.0.0.1:${port}`
    return clusterUrl(role, password, host)
  } catch {
    return undefined
  }
}

type ClusterPlan = {
  home: string
  clusterDir: string
  binaries: string
  account: OsAccount | undefined
  sync: boolean
}

/** Creates the cluster if it does not exist, and returns the superuser's password. */
async function ensureCluster({ home, clusterDir, binaries, account, sync }: ClusterPlan): Promise<string> {
  if (existsSync(join(clusterDir, 'PG_VERSION'))) {
    if (account) giveCluster(clusterDir, account)
    const password = readPassword(home, superuser)
    if (password !== undefined) return password
    throw new OperatorError(`The password of the database is missing: ${join(home, passwordFiles[superuser])}`)
  }
  const password = writePassword(home, superuser)

  // renamed when it is complete, so that a killed initdb leaves no partial cluster
  const draft = `${clusterDir}.draft`
  const draftPassword = `${clusterDir}.password`
  if (!existsSync(dirname(clusterDir))) makeTraversable(dirname(clusterDir))
  // initdb rejects a uid without a name, so the new cluster is given to the account afterwards
  const creator = account && findNamedAccount(uidsOfProcesses())
  makePrivate(draft, creator)
  rmSync(draftPassword, { force: true })
  writeFileSync(draftPassword, password, { mode: 0o600, flag: 'wx' })
  if (creator) chownSync(draftPassword, creator.uid, creator.gid)
  try {
    const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    const login = ['--auth=scram-sha-256', `--username=${superuser}`, `--pwfile=${draftPassword}`]
    const speed = ['--no-instructions', ...(sync ? [] : ['--no-sync'])]
    const initdb = join(binaries, 'bin', executable('initdb'))
    const spawnOptions = { ...asAccount(creator), env: postgresEnv() }
    await promisify(execFile)(initdb, [`--pgdata=${draft}`, ...locale, ...login, ...speed], spawnOptions)
  } catch (e) {
    const output = (e as { stderr?: string }).stderr || (e as Error).message
    throw new OperatorError(`The database cluster in ${clusterDir} could not be created: ${output.trim()}`)
  } finally {
    rmSync(draftPassword, { force: true })
  }
  if (account) giveCluster(draft, account)
  chmodSync(draft, 0o700)
  renameSync(draft, clusterDir)
  return password
}

async function waitUntilReady(postmaster: ChildProcess, clusterDir: string, pid: number): Promise<void> {
  const deadline = performance.now() + 120_000 // enough for the redo after a crash on a slow disk
  while (performance.now() < deadline) {
    if (postmaster.exitCode !== null || postmaster.signalCode !== null) throw new Error('PostgreSQL did not start')
    if (isReady(join(clusterDir, 'postmaster.pid'), pid)) return
    await sleep(10)
  }
  throw new Error('PostgreSQL did not become ready in two minutes')
}

/** Returns whether the postmaster is ready, by the eighth line of its pid file, which pg_ctl also reads. */
function isReady(pidFile: string, pid: number): boolean {
  try {
    const lines = readFileSync(pidFile, 'utf8').split('\n')
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready'
  } catch {
    return false
  }
}

async function stopPostmaster(
  postmaster: ChildProcess,
  written: Promise<void>,
  clusterName: string,
  mode: 'fast' | 'immediate',
): Promise<void> {
  postmaster.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
  signalPostgres(clusterName, 'SIGCONT') // a stopped process would not receive the signal
  // the shutdown checkpoint may take many seconds after a large import; immediate mode has no checkpoint
  const timeout = AbortSignal.timeout(mode === 'fast' ? 30_000 : 3_000)
  await Promise.race([written, new Promise((resolve) => timeout.addEventListener('abort', resolve))])
  await killPostgres(clusterName)
  await written
}

function needsTcp(clusterDir: string): boolean {
  const socket = join(clusterDir, `.s.PGSQL.${socketPort}`)
  return process.platform === 'win32' || Buffer.byteLength(socket) > maxSocketPathLength
}

async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}

/** Quotes a directory, because the setting is a comma-separated list. */
function quoteList(directory: string): string {
  return `"${directory.replaceAll('"', '""')}"`
}
