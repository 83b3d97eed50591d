import type { Clock } from '../../lib/clock.ts'
import type { ConnectionPool } from '../../lib/connection-pool.ts'
import { FetchError, type GuardedFetch } from '../../lib/guarded-fetch.ts'
import type { Sealer } from '../../lib/seal.ts'
import { openHeaders } from './custom-headers.ts'
import type { DueDelivery } from './deliveries.queries.ts'
import type { LeasedEndpoint } from './leases.queries.ts'
import { type LoggedResponse, logRequest, logResponse } from './logged-exchange.ts'
import type { DeliveryAttempt } from './results.queries.ts'
import { readRetryAfter, retryDelayMs } from './schedule.ts'
import { signingSecrets } from './secrets.ts'
import { signDelivery } from './signature.ts'

/** Default time limit of an attempt. */
const attemptMs = 10_000

/** Maximum size of a response; a longer one is a failure. */
const maxResponseBytes = 65_536

export type Sender = {
  fetch: GuardedFetch
  clock: Clock
  userAgent: string
  sealer: Sealer
  /** Time limit of an attempt, from the resolution of the name to the end of the response; by default 10 s. */
  timeoutMs?: number
}

/** Returns the id of an event for its receivers: the same in each attempt, and for each endpoint. */
const eventIdOf = ({ position }: DueDelivery) => `evt_${position}`

/**
 * Makes one attempt to deliver an event and returns its result. Throws a SealError, without a request, if the key cannot open
 * the secrets or headers of the endpoint: the receiver has not failed. Success is a response with a status from 200
 * to 299 that is complete within 10 s; everything else is a failure, also a redirect.
 */
export async function attemptDelivery(
  { fetch, clock, userAgent, sealer, timeoutMs = attemptMs }: Sender,
  endpoint: LeasedEndpoint,
  delivery: DueDelivery,
  pool: ConnectionPool,
): Promise<DeliveryAttempt> {
  const startedAt = clock.now()
  const start = performance.now()
  const attempt = delivery.attempts + 1
  let status: number | null = null
  let error: string | null = null
  let response: LoggedResponse | null = null
  let pauseMs = 0
  const { payload, callbackUrl } = delivery
  const url = callbackUrl ?? endpoint.url ?? ''
  const headers: Record<string, string> = {
    ...Object.fromEntries(openHeaders(sealer, endpoint.headers)),
    'content-type': 'application/json',
    'user-agent': userAgent,
    ...(delivery.isAfterDeadLetter && { 'carillon-after-dead-letter': 'true' }),
    ...signDelivery(eventIdOf(delivery), startedAt, payload, signingSecrets(sealer, endpoint, startedAt)),
  }
  try {
    const received = await fetch({
      url,
      method: 'POST',
      headers,
      body: payload,
      timeoutMs,
      maxBytes: maxResponseBytes,
      pool,
    })
    status = received.status
    response = logResponse(received, { url, headers })
    if (status === 429 || status === 503) pauseMs = readRetryAfter(received.headers['retry-after'], clock.now()) ?? 0
  } catch (failure) {
    error = failure instanceof FetchError ? failure.reason : 'unreachable'
  }
  const isDelivered = status !== null && status >= 200 && status <= 299
  // a 410 ends a callback, and the endpoint of a webhook
  const isGone = status === 410 && callbackUrl !== null
  // the caller of a test wants its result
  const delayMs = isDelivered || isGone || delivery.isTest ? undefined : retryDelayMs(attempt)
  return {
    delivery: { ...identify(delivery), accountId: endpoint.accountId, endpointId: endpoint.id },
    revision: endpoint.revision,
    attempt,
    outcome: isDelivered ? 'delivered' : delayMs === undefined ? 'dead' : 'failed',
    retryAt: delayMs === undefined ? null : new Date(clock.now().getTime() + Math.max(delayMs, pauseMs)),
    pauseMs,
    startedAt,
    durationMs: Math.round(performance.now() - start),
    request: logRequest(url, headers),
    status,
    error,
    response,
  }
}

const identify = ({ id, round, position, type, phone, isTest }: DueDelivery) => ({
  ...{ id, round, position, type, phone, isTest },
})
