import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants, getPriority, setPriority } from 'node:os'
import type pg from 'pg'

// about a tenth of the time of a core that both want
const level = constants.priority.PRIORITY_BELOW_NORMAL

/**
 * Makes PostgreSQL on this machine prefer the statements of other pools: gives the server's process of each new connection a
 * low priority. For background work, which would otherwise occupy the cores that a request needs for a few milliseconds.
 * Nothing happens on other systems than Linux, if the server runs elsewhere, or if it belongs to another user.
 */
export function lowerPriority(pool: pg.Pool): void {
  pool.on('connect', (client) => {
    const { processID, connection } = client as unknown as { processID: number; connection: { stream: Socket } }
    if (!isOnThisMachine(processID, connection.stream)) return
    try {
      if (getPriority(processID) < level) setPriority(processID, level)
    } catch {
      // a process of another user
    }
  })
}

/** Returns whether the server's process of a connection is this process of this machine: its title contains the client's port. */
function isOnThisMachine(processId: number, { localPort }: Socket): boolean {
  try {
    const title = readFileSync(`/proc/${processId}/cmdline`, 'latin1')
    return title.startsWith('postgres: ') && title.includes(localPort === undefined ? ' [local] ' : `(${localPort}) `)
  } catch {
    return false
  }
}
