import type { Readable } from 'node:stream'

export type BodyPace = {
  /** Pause that is allowed in addition to the time that the bytes take at the minimum rate. */
  graceMs: number
  bytesPerSecond: number
  /** Time limit of the whole body. */
  maxMs: number
  /** Ends the wait for the client with its reason. */
  signal?: AbortSignal
}

/** No limits but that of a timer, 24 days. */
export const anyPace: BodyPace = { graceMs: 2 ** 31 - 1, bytesPerSecond: 1, maxMs: 2 ** 31 - 1 }

/**
 * Yields the bytes of a body; throws `makeError()` if its client stalls, sends slower than the pace, or exceeds the time limit, and
 * the reason of `signal` when that is aborted. Only the time spent waiting for the client counts. Does not destroy the body when the consumer stops early: a pipeline would,
 * and would thereby close the socket that the error response needs.
 */
export async function* readSteadily(body: Readable, pace: BodyPace, makeError: () => Error): AsyncGenerator<Buffer> {
  const chunks: AsyncIterator<Buffer> = body.iterator({ destroyOnReturn: false })
  const endsAt = performance.now() + pace.maxMs
  // waiting uses up this time, and bytes extend it: a client that sends a byte now and then runs out of it
  let creditMs = pace.graceMs
  let waiting = false
  try {
    for (;;) {
      const startedAt = performance.now()
      waiting = true
      const { done, value } = await within(
        { ms: Math.min(creditMs, endsAt - startedAt), signal: pace.signal },
        chunks.next(),
        makeError,
      )
      waiting = false
      if (done) return
      const earnedMs = (value.length / pace.bytesPerSecond) * 1_000
      const readAt = performance.now()
      creditMs = Math.min(pace.graceMs, creditMs - (readAt - startedAt) + earnedMs)
      // not left to the timer, before which small chunks could always arrive
      if (creditMs <= 0 || readAt >= endsAt) throw makeError()
      yield value
    }
  } finally {
    if (!waiting) await chunks.return?.()
  }
}

type Wait = { ms: number; signal: AbortSignal | undefined }

async function within<T>({ ms, signal }: Wait, work: Promise<T>, makeError: () => Error): Promise<T> {
  signal?.throwIfAborted()
  const end = Promise.withResolvers<never>()
  // the immediate comes after the reads of this turn: after a busy second, the bytes may be in the socket
  const timer = setTimeout(() => setImmediate(() => end.reject(makeError())), Math.max(0, ms))
  const onAbort = () => end.reject(signal?.reason)
  signal?.addEventListener('abort', onAbort)
  try {
    return await Promise.race([work, end.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}
