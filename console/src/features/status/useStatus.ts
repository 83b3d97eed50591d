import { useEffect, useState } from 'react'
import { readReadiness, type Status } from './status.ts'

const POLL_INTERVAL_MS = 3_000
const TIMEOUT_MS = 5_000

/** Returns the server's status, which it polls while the page is open. */
export function useStatus(): Status {
  const [status, setStatus] = useState<Status>({ kind: 'loading' })

  useEffect(() => {
    const closed = new AbortController()
    let timer: number | undefined
    const poll = async () => {
      const next = await fetchStatus(closed.signal)
      if (closed.signal.aborted) return
      setStatus(next)
      timer = window.setTimeout(poll, POLL_INTERVAL_MS)
    }
    poll()
    return () => {
      closed.abort()
      window.clearTimeout(timer)
    }
  }, [])

  return status
}

async function fetchStatus(closed: AbortSignal): Promise<Status> {
  const [health, readiness] = await Promise.all([getJson('/healthz', closed), getJson('/readyz', closed)])
  return readReadiness(readiness) ?? { kind: health === undefined ? 'unreachable' : 'unclear' }
}

/** Returns the body for any status code, because a 503 of /readyz has one; undefined after a failure or timeout. */
async function getJson(path: string, closed: AbortSignal): Promise<unknown> {
  try {
    const signal = AbortSignal.any([closed, AbortSignal.timeout(TIMEOUT_MS)])
    const response = await fetch(path, { signal, cache: 'no-store', headers: { accept: 'application/json' } })
    return await response.json()
  } catch {
    return undefined
  }
}
