import type { Hash } from 'node:crypto'
import type { Runtime } from '../runtime.ts'
import type { Caller } from './auth.ts'

// What our app adds to Fastify's own types.

declare module 'fastify' {
  interface FastifyInstance {
    rt: Runtime
  }
  interface FastifyRequest {
    /** The account of the key in use; there on every path below /api/v2. */
    account: Caller['account']
    apiKey: Caller['apiKey']
    /** The body came as a form, so that all its values are texts. */
    isForm: boolean
    /** To be fed the bytes of an upload that came with an Idempotency-Key; null for any other request. */
    uploadHash: Hash | null
  }
  interface FastifyContextConfig {
    /** A key of scope `send` may call this, though it is not a read. */
    sends?: boolean
    /** Places in the answer, such as `api_key.key`, that are not kept for a replay. */
    secrets?: string[]
    /** The body is a stream that the handler reads. */
    upload?: boolean
  }
  interface FastifySchema {
    /** The vendor's v2 does not have this; a v2 client never notices it. */
    'x-extension'?: boolean
  }
}
