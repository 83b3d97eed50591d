import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { killPostgres, listPostgresProcesses, signalPostgres } from './postgres-processes.ts'
import { killGroup, type ProcessId, signal, waitUntilGone } from './processes.ts'

/** The processes that the watchdog ends when the supervisor is killed. */
export type KillList = {
  roles: readonly ProcessId[]
  /** The cluster name of the embedded PostgreSQL. */
  clusterName: string | undefined
  /** Whether the supervisor has stopped the processes itself. */
  released?: boolean
}

/**
 * Reads the kill list, first from `initial` and then from the pipe, one JSON line per change, until the pipe closes because
 * the supervisor has exited; then ends the listed processes within five seconds. It is necessary because PostgreSQL does not
 * detect the exit of its parent.
 */
export async function guardSupervisor(pipe: Readable, initial?: string): Promise<void> {
  let killList: KillList = initial === undefined ? { roles: [], clusterName: undefined } : JSON.parse(initial)
  for await (const line of createInterface({ input: pipe })) {
    try {
      killList = JSON.parse(line) as KillList
    } catch {
      // the kill has truncated the line, so the previous one is valid
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
    const postmaster = Math.min(...pids) // the parent of the others, so usually the lowest id
    if (pids.length > 0) signal(postmaster, name)
    const deadline = performance.now() + timeoutMs
    while (listPostgresProcesses(clusterName).length > 0 && performance.now() < deadline) await sleep(20)
  }
  await killPostgres(clusterName)
}
