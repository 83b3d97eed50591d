import type { Readable } from 'node:stream'
import { errors } from '../errors.ts'

/** Minimum rate of a body: 1 MB in 100 seconds. */
const bytesPerMs = 10

export type BodyLimits = {
  /** Maximum number of bytes. */
  bytes: number
  /** Pause that a client may make, in addition to the time that its bytes take at the minimum rate. */
  graceMs: number
  /** Reserves memory for the bytes, and returns whether there is enough. */
  reserve(bytes: number): boolean
  /** Ends the wait for the client when it is aborted. */
  stopping: AbortSignal
}

/**
 * Returns the bytes of a body. Throws a 413 if it is too long, a 429 without memory for it, a 408 if its client sends less than
 * 10 KB per second, apart from the grace, and the reason of `stopping` when that is aborted. Does not destroy the body, whose
 * socket the error response needs.
 */
export function readBody(
  body: Readable,
  announcedLength: number,
  { bytes: limit, graceMs, reserve, stopping }: BodyLimits,
): Promise<Buffer> {
  if (announcedLength > limit) return Promise.reject(errors.bodyTooLarge(limit))
  if (stopping.aborted) return Promise.reject(stopping.reason)
  // a small body usually arrives with the headers: nothing to wait for, so neither a timer nor listeners
  if (announcedLength > 0 && body.readableLength === announcedLength && !body.destroyed) {
    if (!reserve(announcedLength)) return Promise.reject(errors.tooManyBytes())
    const bytes: Buffer = body.read()
    // towards its end
    body.resume()
    return Promise.resolve(bytes)
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const startedAt = performance.now()
    let timer = setTimeout(checkPace, graceMs)

    function checkPace() {
      const leftMs = startedAt + graceMs + length / bytesPerMs - performance.now()
      if (leftMs > 0) timer = setTimeout(checkPace, leftMs)
      else fail(errors.bodyTooSlow())
    }
    function onData(chunk: Buffer) {
      length += chunk.length
      if (length > limit) fail(errors.bodyTooLarge(limit))
      else if (!reserve(chunk.length)) fail(errors.tooManyBytes())
      else chunks.push(chunk)
    }
    function onEnd() {
      detach()
      if (announcedLength > length)
        return reject(errors.unreadableRequest('The body is shorter than its Content-Length'))
      resolve(Buffer.concat(chunks, length))
    }
    function onClose() {
      fail(errors.unreadableRequest('The connection closed before the body was complete'))
    }
    function onStop() {
      fail(stopping.reason)
    }
    function fail(error: Error) {
      detach()
      body.pause()
      reject(error)
    }
    function detach() {
      clearTimeout(timer)
      stopping.removeEventListener('abort', onStop)
      body.off('data', onData).off('end', onEnd).off('error', onClose).off('close', onClose)
    }
    stopping.addEventListener('abort', onStop)
    body.on('data', onData).on('end', onEnd).on('error', onClose).on('close', onClose)
  })
}
