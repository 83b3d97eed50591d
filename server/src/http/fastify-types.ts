import type { Hash } from 'node:crypto'
import type { Runtime } from '../runtime.ts'
import type { Caller } from './auth.ts'
import type { PathMethods } from './path-methods.ts'
import type { HttpTiming } from './timing.ts'

// Our additions to Fastify's types.

declare module 'fastify' {
  interface FastifyInstance {
    rt: Runtime
    pathMethods: PathMethods
    /** The time limits of the server. */
    timing: HttpTiming
    /** Aborted when the server stops; the reason is a 503. */
    stopping: AbortSignal
  }
  interface FastifyRequest {
    /** The account of the request's key; set on every path below /api/v2. */
    account: Caller['account']
    apiKey: Caller['apiKey']
    /** The request has one of its account's places. */
    hasPlace: boolean
    isLow: boolean
    /** Work in turns pauses while this request is in progress. */
    isShort: boolean
    /** The body was a form, so all its values are strings. */
    isForm: boolean
    /** The handler of an upload with an Idempotency-Key must update this hash with all bytes; null for other requests. */
    uploadHash: Hash | null
  }
  interface FastifyContextConfig {
    /** Keys of scope `send` may call this route, although it writes. */
    sends?: boolean
    /** Paths in the response, such as `api_key.key`, that are not stored for a replay. */
    secrets?: string[]
    /** The only statement of the handler is shared with other requests (`db/batched-read.ts`), so it needs no place. */
    batched?: boolean
    /** The body is a stream that the handler reads. */
    upload?: boolean
  }
  interface FastifySchema {
    /** Not part of the vendor's v2, and not visible to its clients. */
    'x-extension'?: boolean
  }
}
