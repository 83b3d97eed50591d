import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

// Reads the profiles that `node --cpu-prof` writes when a process ends.

type CallFrame = { functionName: string; url: string; lineNumber: number }
type Profile = {
  nodes: { id: number; callFrame: CallFrame }[]
  startTime: number
  samples: number[]
  timeDeltas: number[]
}

export type SelfTime = { location: string; share: number; seconds: number }

/** Returns the environment that makes Node write a profile of each process into this directory. */
export function profileEnv(directory: string): Record<string, string> {
  return { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${directory} --cpu-prof-interval=1000` }
}

/** Returns the time in microseconds of the monotonic clock, which profiles use and all processes share. */
export function profileClock(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}

/** Returns the functions of a role with the largest self time between two times, without idle time. */
export function topFunctions(directory: string, role: string, from: number, to: number, limit = 15): SelfTime[] {
  const times = new Map<string, number>()
  let total = 0
  for (const profile of readProfiles(directory, role)) {
    const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
    let at = profile.startTime
    profile.samples.forEach((id, index) => {
      const elapsed = profile.timeDeltas[index] ?? 0
      at += elapsed
      const frame = frames.get(id)
      if (at < from || at > to || !frame || frame.functionName === '(idle)') return
      const location = locationOf(frame)
      times.set(location, (times.get(location) ?? 0) + elapsed)
      total += elapsed
    })
  }
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, limit)
    .map(([location, time]) => ({ location, share: time / total, seconds: time / 1e6 }))
}

function readProfiles(directory: string, role: string): Profile[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Profile)
    .filter(({ nodes }) => nodes.some(({ callFrame }) => callFrame.url.endsWith(`/bin/${role}.ts`)))
}

function locationOf({ functionName, url, lineNumber }: CallFrame): string {
  const file = url
    .replace(/^.*\/server\/src\//, '')
    .replace(/^.*\/node_modules\//, '')
    .replace(/^file:\/\//, '')
  return `${functionName || '(anonymous)'}${file ? ` ${file}:${lineNumber + 1}` : ''}`
}
