import { readdirSync, readFileSync } from 'node:fs'

// Looks at a tree of processes through /proc: who belongs to it, what it has used, what memory is its own. Elsewhere
// than on Linux nothing is seen, and whoever asks is told so.

const ticksPerSecond = 100
const sampleMs = 200

/** Whether processes can be looked at here. */
export const canLook = process.platform === 'linux'

/** What one kind of process used and held since the watch began or was last reset. */
export type Usage = { name: string; processes: number; cpuSeconds: number; peakMb: number }

/** Ticks of the processor, and the largest memory of its own. */
type Seen = { name: string; ticks: number; ticksBefore: number; peakKb: number }

export type WatchOptions = {
  /** The processes whose whole trees are watched. */
  roots: number[]
  /** What a process is called in the report; by its command line unless something better is known. */
  nameOf: (pid: number, command: string) => string
}

/** Samples a process tree until it is stopped, and reports by kind of process. */
export class Watch {
  readonly #options: WatchOptions
  readonly #seen = new Map<number, Seen>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: WatchOptions) {
    this.#options = options
  }

  start(): void {
    if (!canLook) return
    this.#sample()
    this.#timer = setInterval(() => this.#sample(), sampleMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Counts from here on; peaks begin anew. */
  reset(): void {
    this.#sample()
    for (const seen of this.#seen.values()) {
      seen.ticksBefore = seen.ticks
      seen.peakKb = 0
    }
    this.#sample()
  }

  /** Usage by name, the hungriest first; the peak is that of the largest single process of the name. */
  usage(): Usage[] {
    this.#sample()
    const kinds = new Map<string, Usage>()
    for (const { name, ticks, ticksBefore, peakKb } of this.#seen.values()) {
      const kind = kinds.get(name) ?? { name, processes: 0, cpuSeconds: 0, peakMb: 0 }
      kind.processes++
      kind.cpuSeconds += (ticks - ticksBefore) / ticksPerSecond
      kind.peakMb = Math.max(kind.peakMb, peakKb / 1024)
      kinds.set(name, kind)
    }
    return [...kinds.values()].filter((kind) => kind.peakMb > 0).sort((a, b) => b.cpuSeconds - a.cpuSeconds)
  }

  #sample(): void {
    if (!canLook) return
    const stats = readStats()
    const wanted = new Set(this.#options.roots)
    // a parent may have a higher number than its child: look until nobody joins
    for (let before = -1; before !== wanted.size; ) {
      before = wanted.size
      for (const [pid, stat] of stats) if (wanted.has(stat.parent)) wanted.add(pid)
    }
    for (const pid of wanted) {
      const stat = stats.get(pid)
      if (stat) this.#note(pid, stat.ticks)
    }
  }

  #note(pid: number, ticks: number): void {
    const seen = this.#seen.get(pid) ?? { name: '', ticks, ticksBefore: 0, peakKb: 0 }
    this.#seen.set(pid, seen)
    // asked each time: a process is named after its program only when it has started it
    seen.name = this.#options.nameOf(pid, read(pid, 'cmdline').replaceAll('\0', ' ').trim()) || seen.name
    seen.ticks = ticks
    const anonymous = /^RssAnon:\s+(\d+)/m.exec(read(pid, 'status'))?.[1]
    seen.peakKb = Math.max(seen.peakKb, Number(anonymous ?? 0))
  }
}

type Stat = { parent: number; ticks: number }

function readStats(): Map<number, Stat> {
  const stats = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const line = read(pid, 'stat')
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ') // the name before it may hold blanks
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
    return '' // it has just ended
  }
}
