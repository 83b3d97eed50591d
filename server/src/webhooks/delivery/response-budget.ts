import type { LoggedResponse } from './logged-exchange.ts'
import type { DeliveryAttempt } from './results.queries.ts'

/**
 * Bytes of larger responses that a worker stores of an account in an hour. The reason for a failure is in the first of them; without a
 * limit, an endpoint that responds 64 KB of noise to each of a million events would fill the disk.
 */
export const maxStoredBytes = 4 * 2 ** 20
const windowMs = 3_600_000

/** Headers, and a body, of up to this size are always stored; what exceeds the limit is cut to it. */
export const smallBytes = 1_024

/** Limits what the log of attempts stores of the responses to each account's deliveries. */
export class ResponseBudget {
  /** Bytes by account since the beginning of the window, which is that of all accounts: so none is remembered for longer. */
  readonly #stored = new Map<number, number>()
  #since = Number.NEGATIVE_INFINITY

  /** Returns the attempt with what is stored of its response: all of it, or its beginning once the account has used its bytes. */
  limit(attempt: DeliveryAttempt, nowMs: number): DeliveryAttempt {
    const { response, delivery } = attempt
    if (!response || isSmall(response)) return attempt
    if (this.#take(delivery.accountId, sizeOf(response), nowMs)) return attempt
    return { ...attempt, response: beginningOf(response) }
  }

  #take(accountId: number, bytes: number, nowMs: number): boolean {
    if (nowMs - this.#since >= windowMs) {
      this.#stored.clear()
      this.#since = nowMs
    }
    const stored = (this.#stored.get(accountId) ?? 0) + bytes
    if (stored > maxStoredBytes) return false
    this.#stored.set(accountId, stored)
    return true
  }
}

const sizeOfHeaders = ({ headers }: LoggedResponse) => Buffer.byteLength(JSON.stringify(headers))
const sizeOf = (response: LoggedResponse) => sizeOfHeaders(response) + response.body.length
const isSmall = (response: LoggedResponse) =>
  response.body.length <= smallBytes && sizeOfHeaders(response) <= smallBytes

function beginningOf({ headers, body }: LoggedResponse): LoggedResponse {
  const first: LoggedResponse['headers'] = {}
  let size = 2
  for (const [name, value] of Object.entries(headers)) {
    size += Buffer.byteLength(JSON.stringify({ [name]: value }))
    if (size > smallBytes) break
    first[name] = value
  }
  return { headers: first, body: body.subarray(0, smallBytes) }
}
