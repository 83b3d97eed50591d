import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that cannot be mistaken for a later one with the same id. */
export type ProcessId = { pid: number; start: string }

/** The identity of a running process; undefined when there is none, or only a zombie waits to be collected. */
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
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name before it may hold blanks
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

/** Sends a signal (0 only asks); false when there is nobody to get it. A negative id means the whole process group. */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch {
    return false
  }
}

/** Sends SIGKILL to everything in the group that this process leads, also when it is gone itself. */
export function killGroup(pid: number) {
  signal(process.platform === 'win32' ? pid : -pid, 'SIGKILL')
}

/** Waits until none of them runs; false when the time is up before. */
export async function waitUntilGone(processes: readonly ProcessId[], timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (processes.some(isRunning)) {
    if (performance.now() > deadline) return false
    await sleep(20)
  }
  return true
}
