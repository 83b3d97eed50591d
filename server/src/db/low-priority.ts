import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants, getPriority, setPriority } from 'node:os'
import type pg from 'pg'

// about a tenth of the time of a core that both want
const level = constants.priority.PRIORITY_BELOW_NORMAL

/** Linux allows one change of a group's priority per tenth of a second, over all processes. */
const groupRetryMs = 150
const groupAttempts = 100

/**
 * Makes PostgreSQL on this machine prefer the statements of other pools: gives the server's process of each new connection a
 * low priority. For background work, which would otherwise occupy the cores that a request needs for a few milliseconds.
 * Nothing happens on other systems than Linux, if the server runs elsewhere, or if it belongs to another user.
 */
export function lowerPriority(pool: pg.Pool): void {
  pool.on('connect', (client) => {
    const { processID, connection } = client as unknown as { processID: number; connection: { stream: Socket } }
    const { localPort } = connection.stream
    if (!isOnThisMachine(processID, localPort)) return
    try {
      if (getPriority(processID) < level) setPriority(processID, level)
      lowerGroup(processID, localPort)
    } catch {
      // a process of another user
    }
  })
}

/**
 * Lowers the priority of the group in which Linux puts the processes of a session (`autogroup` in sched(7)), where it does. Each
 * process of PostgreSQL has a session of its own, and the cores are shared by groups first: among groups of one process each, the
 * priority of a process has no effect.
 */
function lowerGroup(processId: number, localPort: number | undefined, attempts = groupAttempts): void {
  const path = `/proc/${processId}/autogroup`
  if (!existsSync(path) || !isLeader(processId)) return
  try {
    writeFileSync(path, String(level))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || attempts === 1) throw error
    setTimeout(() => {
      // another process may have the id now
      if (!isOnThisMachine(processId, localPort)) return
      try {
        lowerGroup(processId, localPort, attempts - 1)
      } catch {
        // as above: a process of another user, or one that has just ended
      }
    }, groupRetryMs).unref()
  }
}

/** Returns whether a process is the leader of its session; if not, its group contains others. */
function isLeader(processId: number): boolean {
  const stat = readFileSync(`/proc/${processId}/stat`, 'latin1')
  // after the name, which may contain anything: state, parent, process group, session
  const session = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]
  return Number(session) === processId
}

/** Returns whether the server's process of a connection is this process of this machine: its title contains the client's port. */
function isOnThisMachine(processId: number, localPort: number | undefined): boolean {
  try {
    const title = readFileSync(`/proc/${processId}/cmdline`, 'latin1')
    return title.startsWith('postgres: ') && title.includes(localPort === undefined ? ' [local] ' : `(${localPort}) `)
  } catch {
    return false
  }
}
