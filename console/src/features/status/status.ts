// What the server says of itself, and the words in which we pass it on.

export type Mode = 'sandbox' | 'production'

export type CheckName = 'database' | 'worker' | 'gateway'

export type Status =
  | { kind: 'asking' }
  | { kind: 'silent' }
  | { kind: 'alive' }
  | { kind: 'answered'; ready: boolean; mode: Mode; checks: Record<CheckName, boolean> }

export type Tone = 'good' | 'waiting' | 'bad'

export const checkWords: Record<CheckName, { name: string; up: string; down: string }> = {
  database: {
    name: 'Database',
    up: 'PostgreSQL answers',
    down: 'PostgreSQL does not answer; nothing is lost, and nothing moves until it does',
  },
  worker: {
    name: 'Worker',
    up: 'Broadcasts are expanded and jobs run',
    down: 'No worker has reported for a while; broadcasts are accepted and wait',
  },
  gateway: {
    name: 'Gateway',
    up: 'Bound to the carrier side, ready to submit',
    down: 'No gateway is bound; texts wait in the queue',
  },
}

/** One sentence that says whether a text could go out now. */
export function describeStatus(status: Status): { tone: Tone; title: string; detail: string } {
  switch (status.kind) {
    case 'asking':
      return { tone: 'waiting', title: 'Asking the server…', detail: 'This takes a moment.' }
    case 'silent':
      return {
        tone: 'bad',
        title: 'The server does not answer',
        detail: 'Is npm start still running? This page asks again every few seconds.',
      }
    case 'alive':
      return {
        tone: 'waiting',
        title: 'The server runs, but cannot say whether it is ready',
        detail: 'Its readiness check gave no answer we can read. The log of the api process says more.',
      }
    case 'answered':
      return status.ready
        ? { tone: 'good', title: 'Carillon is running', detail: 'A text sent now goes out now.' }
        : { tone: 'waiting', title: 'Carillon is not ready to send', detail: waitingFor(status.checks) }
  }
}

/** Reads the body of GET /readyz; undefined when it is not one. */
export function readReadiness(body: unknown): Extract<Status, { kind: 'answered' }> | undefined {
  if (!isRecord(body) || !isRecord(body.checks)) return undefined
  const { status, mode, checks } = body
  if (status !== 'ready' && status !== 'not_ready') return undefined
  if (mode !== 'sandbox' && mode !== 'production') return undefined
  return {
    kind: 'answered',
    ready: status === 'ready',
    mode,
    checks: {
      database: checks.database === true,
      worker: checks.worker === true,
      gateway: checks.gateway === true,
    },
  }
}

function waitingFor(checks: Record<CheckName, boolean>): string {
  const missing = (Object.keys(checkWords) as CheckName[]).filter((name) => !checks[name])
  if (missing.length === 0) return 'It will be in a moment.'
  const names = missing.map((name) => checkWords[name].name.toLowerCase())
  return `Waiting for the ${new Intl.ListFormat('en', { type: 'conjunction' }).format(names)}.`
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
