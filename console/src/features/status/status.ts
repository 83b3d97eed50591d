// The status of the server, and its descriptions for people.

export type Mode = 'sandbox' | 'production'

export type CheckName = 'database' | 'worker' | 'gateway'

export type Status =
  | { kind: 'loading' }
  | { kind: 'unreachable' }
  | { kind: 'unclear' }
  | { kind: 'known'; ready: boolean; mode: Mode; checks: Record<CheckName, boolean> }

export type Tone = 'good' | 'waiting' | 'bad'

export const checkLabels: Record<CheckName, { name: string; up: string; down: string }> = {
  database: {
    name: 'Database',
    up: 'PostgreSQL responds',
    down: 'PostgreSQL does not respond; nothing is lost, and nothing is sent until it does',
  },
  worker: {
    name: 'Worker',
    up: 'Broadcasts are expanded and jobs run',
    down: 'No worker has sent a heartbeat recently; broadcasts are accepted and wait',
  },
  gateway: {
    name: 'Gateway',
    up: 'Bound to an SMSC, ready to submit',
    down: 'No gateway is bound; texts stay queued',
  },
}

/** Returns a title and a sentence about whether texts can be sent now. */
export function describeStatus(status: Status): { tone: Tone; title: string; detail: string } {
  switch (status.kind) {
    case 'loading':
      return { tone: 'waiting', title: 'Loading the status…', detail: 'This takes a moment.' }
    case 'unreachable':
      return {
        tone: 'bad',
        title: 'The server does not respond',
        detail: 'Is npm start still running? This page retries every few seconds.',
      }
    case 'unclear':
      return {
        tone: 'waiting',
        title: 'The server runs, but its readiness is unknown',
        detail: 'The response of its readiness check is invalid. See the log of the api process.',
      }
    case 'known':
      return status.ready
        ? { tone: 'good', title: 'Carillon is running', detail: 'Texts are sent immediately.' }
        : { tone: 'waiting', title: 'Carillon is not ready to send', detail: waitingFor(status.checks) }
  }
}

/** Parses the body of GET /readyz; returns undefined if it is invalid. */
export function readReadiness(body: unknown): Extract<Status, { kind: 'known' }> | undefined {
  if (!isRecord(body) || !isRecord(body.checks)) return undefined
  const { status, mode, checks } = body
  if (status !== 'ready' && status !== 'not_ready') return undefined
  if (mode !== 'sandbox' && mode !== 'production') return undefined
  return {
    kind: 'known',
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
  const missing = (Object.keys(checkLabels) as CheckName[]).filter((name) => !checks[name])
  if (missing.length === 0) return 'It will be ready in a moment.'
  const names = missing.map((name) => checkLabels[name].name.toLowerCase())
  return `Waiting for the ${new Intl.ListFormat('en', { type: 'conjunction' }).format(names)}.`
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
