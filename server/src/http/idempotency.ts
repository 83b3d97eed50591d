import { createHash, randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Db } from '../db/db.ts'
import { type RequestScope, RequestTransaction } from '../db/request-transaction.ts'
import { AppError, errors } from '../errors.ts'
import { type BodyPace, readSteadily } from '../lib/steady-body.ts'
import {
  claimKey,
  findKey,
  type KeyClaim,
  type KnownKey,
  leaseMs,
  releaseKey,
  renewClaim,
  storeResponse,
} from './idempotency.queries.ts'
import { uploadPace } from './timing.ts'

// A POST with an Idempotency-Key is processed once, even if it is sent several times. Its effect and its response commit in
// one transaction before the response is sent: a crash leaves both or neither, so the next attempt either gets the stored
// response or runs. A rejected request changes nothing, so its key is deleted and may be used again, with any body.

const lifetimeMs = 24 * 3_600_000
const maxKeyLength = 255

type Run = { claim: KeyClaim; transaction: RequestTransaction; renewing: NodeJS.Timeout }

/** Handles the Idempotency-Key of every POST below `app`, in the `scope` of the requests. */
export function useIdempotency(app: FastifyInstance, scope: RequestScope) {
  const runs = new WeakMap<FastifyRequest, Run>()
  app.decorateRequest('uploadHash', null)

  app.addHook('preHandler', (req, reply, done) => {
    const key = req.headers['idempotency-key']
    if (req.method !== 'POST' || key === undefined) return done()
    begin(req, String(key)).then(
      (outcome) => {
        if (!('claim' in outcome)) return replay(req, reply, outcome)
        runs.set(req, outcome)
        if (isUpload(req)) req.uploadHash = createHash('sha256')
        scope.run(outcome.transaction, done)
      },
      (error) => done(error),
    )
  })

  app.addHook('onSend', async (req, reply, payload) => {
    const run = runs.get(req)
    if (run === undefined) return payload
    runs.delete(req)
    clearInterval(run.renewing)
    if (reply.statusCode >= 400) {
      await run.transaction.rollback()
      await release(req, run.claim)
      return payload
    }
    try {
      await commit(req, run, reply.statusCode, String(payload ?? ''))
    } catch (error) {
      await release(req, run.claim)
      throw error
    }
    return payload
  })

  /** Returns a new run of the request, or the stored response if the same request has completed. */
  async function begin(req: FastifyRequest, key: string): Promise<Run | KnownKey> {
    if (key.length > maxKeyLength || !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(key)) {
      throw errors.badIdempotencyKey(maxKeyLength)
    }
    const base = scope.base()
    const claim = { apiKeyId: req.apiKey.id, key, requestHash: hashOf(req), token: randomUUID() }
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const now = app.rt.clock.now()
      if (await claimKey(base, claim, { now, expiresAt: new Date(now.getTime() + lifetimeMs) }))
        return start(req, base, claim)
      const known = await findKey(base, claim.apiKeyId, key)
      if (known !== undefined) return checkSameRequest(req, claim, known)
      // the request that had the lease has just been rejected, so the key is free
    }
    throw errors.idempotencyKeyBusy()
  }

  function start(req: FastifyRequest, base: Db, claim: KeyClaim): Run {
    const renew = () =>
      renewClaim(base, claim).catch((error) => req.log.warn({ err: error }, 'failed to renew an idempotency key'))
    const renewing = setInterval(() => void renew(), leaseMs / 4).unref()
    return { claim, transaction: new RequestTransaction(base), renewing }
  }

  async function commit(req: FastifyRequest, { claim, transaction }: Run, status: number, text: string) {
    const response = {
      status,
      body: withoutSecrets(text, req.routeOptions.config.secrets),
      bodyHash: req.uploadHash?.digest() ?? null,
    }
    await transaction.commit(async (tx) => {
      if (!(await storeResponse(tx, claim, response))) throw errors.idempotencyKeyBusy()
    })
  }

  /** Deletes the claim; if this fails, the claim expires with its lease. */
  async function release(req: FastifyRequest, claim: KeyClaim) {
    await releaseKey(scope.base(), claim).catch((error) =>
      req.log.warn({ err: error }, 'failed to release an idempotency key'),
    )
  }
}

function isUpload(req: FastifyRequest): boolean {
  return req.routeOptions.config.upload === true
}

/** Hashes the parts of a request that a repetition must match, without the bytes of an upload, which arrive later. */
function hashOf(req: FastifyRequest): Buffer {
  const body = isUpload(req) ? undefined : req.body
  const request = [req.routeOptions.url, req.params, req.query, body ?? null]
  return createHash('sha256').update(JSON.stringify(request)).digest()
}

/** Returns the stored response if the request equals the stored one, including every byte of an upload; otherwise throws. */
async function checkSameRequest(req: FastifyRequest, claim: KeyClaim, known: KnownKey): Promise<KnownKey> {
  if (!known.requestHash.equals(claim.requestHash)) throw errors.idempotencyKeyReused()
  if (known.status === null) throw errors.idempotencyKeyBusy()
  if (isUpload(req)) {
    const hash = await hashUpload(req.body as Readable, uploadPace(req.server.timing, req.server.stopping))
    if (!known.bodyHash?.equals(hash)) throw errors.idempotencyKeyReused()
  }
  return known
}

async function hashUpload(body: Readable, pace: BodyPace): Promise<Buffer> {
  const hash = createHash('sha256')
  try {
    for await (const bytes of readSteadily(body, pace, errors.uploadStalled)) hash.update(bytes)
  } catch (error) {
    throw error instanceof AppError ? error : errors.uploadBroken()
  }
  return hash.digest()
}

function replay(req: FastifyRequest, reply: FastifyReply, { status, body }: KnownKey) {
  reply.header('idempotency-replayed', 'true')
  const { secrets } = req.routeOptions.config
  if (secrets) reply.header('idempotency-omitted', secrets.join(', '))
  reply
    .code(status ?? 200)
    .type('application/json; charset=utf-8')
    .send(body)
}

/** Returns the response body with null for each secret, which must not be stored. */
function withoutSecrets(text: string, secrets: string[] | undefined): string {
  if (secrets === undefined) return text
  const body = JSON.parse(text)
  for (const secret of secrets) {
    const path = secret.split('.')
    const last = path.pop() ?? ''
    const parent = path.reduce((value, key) => value?.[key], body)
    if (parent) parent[last] = null
  }
  return JSON.stringify(body)
}
