import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process id with the start time of the process, because the system reuses ids. */
export type ProcessId = { pid: number; start: string }

/** Returns the identity of a running process; undefined if it does not exist or is a zombie. */
export function identify(pid: number): ProcessId | undefined {
  const start = process.platform === 'linux' ? startByProc(pid) : startByPs(pid)
  return start === undefined ? undefined : { pid, start }
}

export function isRunning({ pid, start }: ProcessId): boolean {
  return identify(pid)?.start === start
}

function startByProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the process name before it may contain spaces
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

function startByPs(pid: number): string | undefined {
  if (process.platform === 'win32') return signal(pid, 0) ? 'running' : undefined
  try {
    const row = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    return row === '' || row.startsWith('Z') ? undefined : row.slice(row.indexOf(' ')).trim()
  } catch {
    return undefined
  }
}

/** Sends a signal (0 only checks); returns false if there is no such process. A negative id means a process group. */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch {
    return false
  }
}

/** Sends SIGKILL to the process group of this leader, even if the leader has exited. */
export function killGroup(pid: number) {
  signal(process.platform === 'win32' ? pid : -pid, 'SIGKILL')
}

/** Waits until all of the processes have exited; returns false if that takes longer than the timeout. */
export async function waitUntilGone(processes: readonly ProcessId[], timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (processes.some(isRunning)) {
    if (performance.now() > deadline) return false
    await sleep(20)
  }
  return true
}
