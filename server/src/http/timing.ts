import { atMost, below, type DurationRule, type Durations, listBrokenRules } from '../lib/duration-rules.ts'
import type { BodyPace } from '../lib/steady-body.ts'

// All time limits of the api's HTTP server with their reasons, and the inequalities between them. Without a limit, a client
// that is slow on purpose uses a connection, memory or a place for as long as it likes.

/** All values are in milliseconds. */
export const timing = {
  // ---- all requests ----------------------------------------------------------------------------------------------
  /** Time limit of the request line and the headers, also of the first ones after the connection was opened. */
  headersMs: 10_000,
  /** A body may pause this long; the time that its bytes take at the minimum rate does not count. */
  bodyGraceMs: 20_000,
  /** Time for which the rest of a body that nothing reads is received, so that its client reads the response. */
  discardMs: 10_000,
  /** Time in which a client reads a response; the time that its bytes take at the minimum rate does not count. */
  responseGraceMs: 30_000,
  /** Time in which clients read their last responses when the server stops. */
  stopGraceMs: 2_000,
  /** Time limit of a whole request, which Node applies to uploads, too. */
  requestMs: 3 * 3_600_000,
  /** Interval in which Node checks the limits of headers and of whole requests. */
  checkMs: 1_000,
  /** Time for which a connection without a request stays open. */
  idleMs: 72_000,

  // ---- uploads ---------------------------------------------------------------------------------------------------
  /** An upload may pause this long; the time that its client needs at the minimum rate does not count. */
  uploadGraceMs: 20_000,
  /** Time limit of a whole upload: 8 GB at 10 Mbit/s. */
  uploadMaxMs: 2 * 3_600_000,
  /** Time for which an upload waits for a place, before its client has sent the file. */
  uploadWaitMs: 10_000,
  /** Time for which a received file waits until its rows may be copied; others copy at most a file of maximum size. */
  copyWaitMs: 300_000,
}

export type HttpTiming = typeof timing

/** Minimum rate of an upload, in bytes per second: a tenth of the slowest mobile network in use (EDGE). */
const minUploadBytesPerSecond = 2_000

/** Returns the pace of uploads with these time limits, which ends with `signal`. */
export function uploadPace({ uploadGraceMs, uploadMaxMs }: HttpTiming, signal: AbortSignal): BodyPace {
  return { graceMs: uploadGraceMs, bytesPerSecond: minUploadBytesPerSecond, maxMs: uploadMaxMs, signal }
}

/** Durations that are decided elsewhere: by docs/proxy/nginx.conf and by usual clients. */
const externalDurations: Durations = {
  /** nginx's `keepalive_timeout` of an upstream: time for which it uses an idle connection. */
  proxyIdleMs: 60_000,
  /** nginx's `client_body_timeout` for uploads: time between two reads of a body. */
  proxyUploadPauseMs: 60_000,
  /** nginx's `proxy_read_timeout` for uploads: time from the end of the body to the response. */
  proxyUploadResponseMs: 600_000,
  /** Time limit of many HTTP clients for a response that has not begun. */
  clientResponseMs: 30_000,
  /** Time for which the response to an `Idempotency-Key` is stored. */
  idempotencyKeyMs: 24 * 3_600_000,
  /** Time limit of a role's stop (bin/role.ts). */
  roleStopMs: 8_000,
}

const rules: DurationRule[] = [
  atMost('headersMs', 'bodyGraceMs', 'a client without a key gets no more time than one with a key'),
  below('bodyGraceMs', 'proxyUploadPauseMs', 'a client behind the proxy gets the 408 of Carillon'),
  below('discardMs', 'idleMs', 'a client that ignores its response gets no more time than one that waits for nothing'),
  below(
    'responseGraceMs',
    'idleMs',
    'a client that does not read its response gets no more time than one that waits for nothing',
  ),
  below('stopGraceMs + checkMs', 'roleStopMs', 'slow clients do not make a stop exceed its time limit'),
  below('uploadMaxMs + uploadGraceMs', 'requestMs', 'an upload ends by its own limits'),
  below('requestMs', 'idempotencyKeyMs', 'a repeated request finds its key'),
  below('checkMs', 'headersMs', 'a limit is exceeded by little'),
  below('proxyIdleMs', 'idleMs', 'no request of a proxy meets a connection that is being closed'),
  below('idleMs', 'uploadMaxMs', 'an idle connection is closed before a busy one'),
  below('uploadGraceMs', 'proxyUploadPauseMs', 'a client behind the proxy gets the 408 of Carillon'),
  below('uploadGraceMs', 'uploadMaxMs', 'a pause is shorter than the upload'),
  below('uploadMaxMs', 'idempotencyKeyMs', 'a repeated upload finds its key'),
  below('uploadWaitMs', 'clientResponseMs', 'a client that waits for a place gets the 503'),
  below('copyWaitMs', 'proxyUploadResponseMs', 'a proxy waits until rows are copied'),
]

/** Throws an error that names every inequality which these durations break. */
export function assertHttpTiming(durations: Durations): void {
  const faults = listBrokenRules({ ...externalDurations, ...durations }, rules)
  if (faults.length > 0) throw new Error(`inconsistent HTTP timing: ${faults.join('; ')}`)
}
