import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { killPostgres, listPostgresProcesses, signalPostgres } from './postgres-processes.ts'
import { killGroup, type ProcessId, signal, waitUntilGone } from './processes.ts'

/** The processes to end when the supervisor is killed. */
export type KillList = {
  roles: readonly ProcessId[]
  /** The cluster name of the embedded PostgreSQL. */
  clusterName: string | undefined
  /** The supervisor has stopped everything itself. */
  released?: boolean
}

/**
 * Reads the kill list, one JSON line per change, until the pipe closes, which means that the supervisor is gone; then ends
 * the listed processes within five seconds. It exists because PostgreSQL does not notice a dead parent.
 */
export async function guardSupervisor(pipe: Readable): Promise<void> {
  let killList: KillList = { roles: [], clusterName: undefined }
  for await (const line of createInterface({ input: pipe })) {
    try {
      killList = JSON.parse(line) as KillList
    } catch {
      // a line cut off by the kill: the previous one stays valid
    }
  }
  if (killList.released) return
  await endRoles(killList.roles)
  if (killList.clusterName) await endPostgres(killList.clusterName)
}

async function endRoles(roles: readonly ProcessId[]): Promise<void> {
  for (const { pid } of roles) {
    signal(pid, 'SIGTERM')
    signal(pid, 'SIGCONT') // a stopped process would not receive SIGTERM
  }
  await waitUntilGone(roles, 2_000)
  for (const { pid } of roles) killGroup(pid)
}

async function endPostgres(clusterName: string): Promise<void> {
  signalPostgres(clusterName, 'SIGCONT')
  for (const [name, timeoutMs] of [
    ['SIGINT', 1_500],
    ['SIGQUIT', 500],
  ] as const) {
    const pids = listPostgresProcesses(clusterName)
    const postmaster = Math.min(...pids) // the parent of the others, so the oldest
    if (pids.length > 0) signal(postmaster, name)
    const deadline = performance.now() + timeoutMs
    while (listPostgresProcesses(clusterName).length > 0 && performance.now() < deadline) await sleep(20)
  }
  await killPostgres(clusterName)
}
