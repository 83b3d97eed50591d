import { readdirSync, readFileSync } from 'node:fs'

// Files of processes, which may end between any two reads.

/** Returns the pids of the running children of a process. */
export function childrenOf(parent: number): number[] {
  return listIfExists('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const stat = readIfExists(`/proc/${pid}/stat`)
      const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return Number(ppid) === parent && state !== 'Z'
    })
}

/** Returns the environment of a process; throws if it has ended. */
export function environmentOf(pid: number): NodeJS.ProcessEnv {
  const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean)
  return Object.fromEntries(entries.map((entry) => entry.split(/=(.*)/s).slice(0, 2)))
}

/** Returns the command line of a process, an empty one if it has ended. */
export const commandOf = (pid: number) => readIfExists(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')

/** Returns the names in a folder; none if it does not exist. */
export function listIfExists(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Returns the text of a file; an empty one if it does not exist. */
export function readIfExists(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // the process has ended
  }
}
