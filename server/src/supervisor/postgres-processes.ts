import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { signal } from './processes.ts'

// Every backend of PostgreSQL starts its own session, so a signal to the postmaster's process group does not reach a busy
// backend. The processes are identified by the cluster's name, which is in the title of each.

/** Returns the processes of a cluster: postmaster, backends and auxiliary processes. */
export function listPostgresProcesses(clusterName: string): number[] {
  return process.platform === 'linux' ? listByProc(clusterName) : listByPs(clusterName)
}

function listByProc(clusterName: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => isMember(clusterName, readOrEmpty(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')))
    .map(Number)
}

function listByPs(clusterName: string): number[] {
  if (process.platform === 'win32') return []
  const rows = execFileSync('ps', ['-axo', 'pid=,command='], { encoding: 'utf8', maxBuffer: 16 << 20 }).split('\n')
  return rows
    .map((row) => /^\s*(\d+)\s+(.*)$/.exec(row))
    .filter((match) => match !== null)
    .filter((match) => isMember(clusterName, match[2] ?? ''))
    .map((match) => Number(match[1]))
}

/** Returns whether a command line is the cluster's: its postmaster and new backends have the name as an argument, others in the title. */
function isMember(clusterName: string, command: string): boolean {
  return command.startsWith(`postgres: ${clusterName}: `) || command.includes(` cluster_name=${clusterName} `)
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // the process has ended
  }
}

/** Sends a signal to all processes of the cluster and returns their number. */
export function signalPostgres(clusterName: string, name: NodeJS.Signals): number {
  const pids = listPostgresProcesses(clusterName)
  for (const pid of pids) signal(pid, name)
  return pids.length
}

/** Kills all processes of the cluster, repeatedly, because a postmaster may still fork; resolves when all have exited. */
export async function killPostgres(clusterName: string, deadlineMs = 5_000): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (signalPostgres(clusterName, 'SIGKILL') > 0) {
    if (performance.now() > deadline) throw new Error(`PostgreSQL processes of ${clusterName} cannot be killed`)
    await sleep(10)
  }
}
