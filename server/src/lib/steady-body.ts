import type { Readable } from 'node:stream'

export type BodyPace = {
  /** Pause that is allowed in addition to the time that the bytes take at the minimum rate. */
  graceMs: number
  bytesPerSecond: number
  /** Time limit of the whole body. */
  maxMs: number
}

/** No limits but that of a timer, 24 days. */
export const anyPace: BodyPace = { graceMs: 2 ** 31 - 1, bytesPerSecond: 1, maxMs: 2 ** 31 - 1 }

/**
 * Yields the bytes of a body; throws `makeError()` if its client stalls, sends slower than the pace, or exceeds the time limit. Only
 * the time spent waiting for the client counts. Does not destroy the body when the consumer stops early: a pipeline would,
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
      const { done, value } = await within(Math.min(creditMs, endsAt - startedAt), chunks.next(), makeError)
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

async function within<T>(ms: number, work: Promise<T>, makeError: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    // the immediate comes after the reads of this turn: after a busy second, the bytes may be in the socket
    timer = setTimeout(() => setImmediate(() => reject(makeError())), Math.max(0, ms))
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}
