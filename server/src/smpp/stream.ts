// The parts of a session that depend on its stream: the setup, the events that end it, and the two ways to end it.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { MonotonicClock } from './deadline-timer.ts'

/** Time limit for an orderly close of the stream, and for the responses of a peer that unbinds. */
export const LINGER_MS = 1_000

/** Disables Nagle's algorithm of a socket, which with delayed acknowledgements delays each write by 40 ms. */
export function disableWriteDelay(stream: Duplex): void {
  if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true)
}

/** Calls `onEnd` when the peer ends the stream, and `onClose` when the stream is closed; both receive the reason. */
export function watchStream(stream: Duplex, onEnd: (reason: string) => void, onClose: (reason: string) => void): void {
  let streamError: Error | undefined
  stream.on('end', () => onEnd('peer closed'))
  stream.on('error', (error) => {
    streamError = error
  })
  stream.on('close', () => onClose(streamError?.message ?? 'peer closed'))
}

/** Ends the stream after the written octets, and destroys it if the peer does not end its side within LINGER_MS. */
export function endStream(stream: Duplex, clock: MonotonicClock): void {
  const timer = clock.setTimeout(() => stream.destroy(), LINGER_MS)
  stream.once('close', () => clock.clearTimeout(timer))
  stream.end()
}

/**
 * Destroys the stream. With open requests, a TCP socket is reset: otherwise the system would continue to send the written
 * octets to a peer that does not read.
 */
export function destroyStream(stream: Duplex, hasOpenRequests: boolean): void {
  if (hasOpenRequests && stream instanceof Socket && !(stream instanceof TLSSocket)) stream.resetAndDestroy()
  else stream.destroy()
}
