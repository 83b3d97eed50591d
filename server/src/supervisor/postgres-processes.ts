import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { signal } from './processes.ts'

// Every backend of PostgreSQL makes a session of its own, so a signal to the postmaster's process group reaches the
// postmaster alone, and a busy backend outlives it. The cluster's name is in the title of each process: we go by that.

/** The processes of the cluster of this name: postmaster, backends and auxiliary processes. */
export function listPostgresProcesses(clusterName: string): number[] {
  return process.platform === 'linux' ? familyByProc(clusterName) : familyByPs(clusterName)
}

function familyByProc(clusterName: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => isMember(clusterName, readOrEmpty(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')))
    .map(Number)
}

function familyByPs(clusterName: string): number[] {
  if (process.platform === 'win32') return []
  const rows = execFileSync('ps', ['-axo', 'pid=,command='], { encoding: 'utf8', maxBuffer: 16 << 20 }).split('\n')
  return rows
    .map((row) => /^\s*(\d+)\s+(.*)$/.exec(row))
    .filter((match) => match !== null)
    .filter((match) => isMember(clusterName, match[2] ?? ''))
    .map((match) => Number(match[1]))
}

/** The postmaster, and a backend that has just been forked, carry the name as an argument; the others in their title. */
function isMember(clusterName: string, command: string): boolean {
  return command.startsWith(`postgres: ${clusterName}: `) || command.includes(` cluster_name=${clusterName} `)
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it ended while we looked
  }
}

/** Sends a signal to the whole family, and says how many there were. */
export function signalPostgres(clusterName: string, name: NodeJS.Signals): number {
  const family = listPostgresProcesses(clusterName)
  for (const pid of family) signal(pid, name)
  return family.length
}

/** Ends the whole family and returns when none is left. A dying postmaster can still fork, so it looks again. */
export async function killPostgres(clusterName: string, deadlineMs = 5_000): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (signalPostgres(clusterName, 'SIGKILL') > 0) {
    if (performance.now() > deadline) throw new Error(`PostgreSQL processes of ${clusterName} do not end`)
    await sleep(10)
  }
}
