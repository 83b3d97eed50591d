import { readdirSync, readFileSync } from 'node:fs'

// Samples CPU time and private memory of a process tree from /proc. On systems other than Linux it samples nothing, and
// `canReadProcesses` is false.

const ticksPerSecond = 100
const sampleMs = 200

/** Whether this system has /proc. */
export const canReadProcesses = process.platform === 'linux'

/** CPU time and peak memory of the processes of one name since the start or the last reset. */
export type Usage = { name: string; processes: number; cpuSeconds: number; peakMb: number }

/** CPU ticks and peak private memory of one process. */
type ProcessSample = { name: string; ticks: number; ticksBefore: number; peakKb: number }

export type WatchOptions = {
  /** The roots of the sampled process trees. */
  roots: number[]
  /** Returns the name of a process in the report. */
  nameOf: (pid: number, command: string) => string
}

/** Samples a process tree until it is stopped, and reports by process name. */
export class Watch {
  readonly #options: WatchOptions
  readonly #samples = new Map<number, ProcessSample>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: WatchOptions) {
    this.#options = options
  }

  start(): void {
    if (!canReadProcesses) return
    this.#sample()
    this.#timer = setInterval(() => this.#sample(), sampleMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Resets the counts and the peaks. */
  reset(): void {
    this.#sample()
    for (const sample of this.#samples.values()) {
      sample.ticksBefore = sample.ticks
      sample.peakKb = 0
    }
    this.#sample()
  }

  /** Returns the usage by name, largest CPU time first; the peak is that of the largest process with the name. */
  usage(): Usage[] {
    this.#sample()
    const kinds = new Map<string, Usage>()
    for (const { name, ticks, ticksBefore, peakKb } of this.#samples.values()) {
      const kind = kinds.get(name) ?? { name, processes: 0, cpuSeconds: 0, peakMb: 0 }
      kind.processes++
      kind.cpuSeconds += (ticks - ticksBefore) / ticksPerSecond
      kind.peakMb = Math.max(kind.peakMb, peakKb / 1024)
      kinds.set(name, kind)
    }
    return [...kinds.values()].filter((kind) => kind.peakMb > 0).sort((a, b) => b.cpuSeconds - a.cpuSeconds)
  }

  #sample(): void {
    if (!canReadProcesses) return
    const stats = readStats()
    const pids = new Set(this.#options.roots)
    // a parent may have a higher pid than its child, so repeat until the set stops growing
    for (let before = -1; before !== pids.size; ) {
      before = pids.size
      for (const [pid, stat] of stats) if (pids.has(stat.parent)) pids.add(pid)
    }
    for (const pid of pids) {
      const stat = stats.get(pid)
      if (stat) this.#record(pid, stat.ticks)
    }
  }

  #record(pid: number, ticks: number): void {
    const sample = this.#samples.get(pid) ?? { name: '', ticks, ticksBefore: 0, peakKb: 0 }
    this.#samples.set(pid, sample)
    // read for every sample, because a process changes its command line when it executes its program
    sample.name = this.#options.nameOf(pid, read(pid, 'cmdline').replaceAll('\0', ' ').trim()) || sample.name
    sample.ticks = ticks
    const anonymous = /^RssAnon:\s+(\d+)/m.exec(read(pid, 'status'))?.[1]
    sample.peakKb = Math.max(sample.peakKb, Number(anonymous ?? 0))
  }
}

type Stat = { parent: number; ticks: number }

function readStats(): Map<number, Stat> {
  const stats = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const line = read(pid, 'stat')
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ') // the name before it may contain spaces
    if (fields.length > 12) {
      stats.set(pid, { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) })
    }
  }
  return stats
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1')
  } catch {
    return '' // the process has just ended
  }
}
