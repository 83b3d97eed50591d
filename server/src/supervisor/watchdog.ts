import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { killPostgres, listPostgresProcesses, signalPostgres } from './postgres-processes.ts'
import { killGroup, type ProcessId, signal, waitUntilGone } from './processes.ts'

/** What must end when the supervisor is killed. */
export type KillList = {
  roles: readonly ProcessId[]
  /** The embedded PostgreSQL's. */
  clusterName: string | undefined
  /** The supervisor has ended everything itself. */
  released?: boolean
}

/**
 * Reads the killList, a JSON line whenever it changes, until the pipe closes: then the supervisor is gone, and what it
 * left running is ended within five seconds. PostgreSQL cannot notice a dead parent, so somebody has to.
 */
export async function guardSupervisor(pipe: Readable): Promise<void> {
  let killList: KillList = { roles: [], clusterName: undefined }
  for await (const line of createInterface({ input: pipe })) {
    try {
      killList = JSON.parse(line) as KillList
    } catch {
      // a line cut off by the kill: the one before it holds
    }
  }
  if (killList.released) return
  await endRoles(killList.roles)
  if (killList.clusterName) await endPostgres(killList.clusterName)
}

async function endRoles(roles: readonly ProcessId[]): Promise<void> {
  for (const { pid } of roles) {
    signal(pid, 'SIGTERM')
    signal(pid, 'SIGCONT') // a stopped process would not hear it
  }
  await waitUntilGone(roles, 2_000)
  for (const { pid } of roles) killGroup(pid)
}

async function endPostgres(clusterName: string): Promise<void> {
  signalPostgres(clusterName, 'SIGCONT')
  for (const [name, patience] of [
    ['SIGINT', 1_500],
    ['SIGQUIT', 500],
  ] as const) {
    const family = listPostgresProcesses(clusterName)
    const postmaster = Math.min(...family) // the parent of the others, hence the oldest
    if (family.length > 0) signal(postmaster, name)
    const deadline = performance.now() + patience
    while (listPostgresProcesses(clusterName).length > 0 && performance.now() < deadline) await sleep(20)
  }
  await killPostgres(clusterName)
}
