import { useEffect, useState } from 'react'
import { readReadiness, type Status } from './status.ts'

const EVERY_MS = 3_000
const PATIENCE_MS = 5_000

/** The server's state, asked again and again for as long as the page is open. */
export function useStatus(): Status {
  const [status, setStatus] = useState<Status>({ kind: 'asking' })

  useEffect(() => {
    const closed = new AbortController()
    let timer: number | undefined
    const poll = async () => {
      const next = await askStatus(closed.signal)
      if (closed.signal.aborted) return
      setStatus(next)
      timer = window.setTimeout(poll, EVERY_MS)
    }
    poll()
    return () => {
      closed.abort()
      window.clearTimeout(timer)
    }
  }, [])

  return status
}

async function askStatus(closed: AbortSignal): Promise<Status> {
  const [health, readiness] = await Promise.all([getJson('/healthz', closed), getJson('/readyz', closed)])
  return readReadiness(readiness) ?? { kind: health === undefined ? 'silent' : 'alive' }
}

/** The body, whatever the status code (a 503 of /readyz is an answer too), or undefined when none came in time. */
async function getJson(path: string, closed: AbortSignal): Promise<unknown> {
  try {
    const signal = AbortSignal.any([closed, AbortSignal.timeout(PATIENCE_MS)])
    const response = await fetch(path, { signal, cache: 'no-store', headers: { accept: 'application/json' } })
    return await response.json()
  } catch {
    return undefined
  }
}
