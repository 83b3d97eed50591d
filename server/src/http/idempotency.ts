import { createHash, randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Db } from '../db/db.ts'
import { type RequestScope, RequestTransaction } from '../db/request-transaction.ts'
import { errors } from '../errors.ts'
import {
  claimKey,
  findKey,
  type KeyClaim,
  type KnownKey,
  leaseMs,
  releaseKey,
  renewClaim,
  storeAnswer,
} from './idempotency.queries.ts'

// A POST that carries an Idempotency-Key happens once, however often it is sent. What it does and the answer it gets
// commit together, and only then the answer leaves: a crash leaves both or neither, and the next try finds out which.
// A refused request changes nothing, so its key is forgotten and may be sent again, corrected or not.

const keptMs = 24 * 3_600_000
const longestKey = 255

/** A sender that is silent for so long in the middle of an upload has gone. */
const longestSilenceMs = 30_000

type Run = { claim: KeyClaim; transaction: RequestTransaction; renewing: NodeJS.Timeout }

/** Gives every POST below `app` its Idempotency-Key. `base` is the database itself, `scope` what the handlers use. */
export function useIdempotency(app: FastifyInstance, base: Db, scope: RequestScope) {
  const runs = new WeakMap<FastifyRequest, Run>()
  app.decorateRequest('uploadHash', null)

  app.addHook('preHandler', (req, reply, done) => {
    const key = req.headers['idempotency-key']
    if (req.method !== 'POST' || key === undefined) return done()
    begin(req, String(key)).then(
      (begun) => {
        if (!('claim' in begun)) return replay(req, reply, begun)
        runs.set(req, begun)
        if (isUpload(req)) req.uploadHash = createHash('sha256')
        scope.run(begun.transaction, done)
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
      await forget(req, run.claim)
      return payload
    }
    try {
      await commit(req, run, reply.statusCode, String(payload ?? ''))
    } catch (error) {
      await forget(req, run.claim)
      throw error
    }
    return payload
  })

  async function begin(req: FastifyRequest, key: string): Promise<Run | KnownKey> {
    if (key.length > longestKey || !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(key)) {
      throw errors.badIdempotencyKey(longestKey)
    }
    const claim = { apiKeyId: req.apiKey.id, key, requestHash: hashOf(req), token: randomUUID() }
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const now = app.rt.clock.now()
      if (await claimKey(base, claim, { now, expiresAt: new Date(now.getTime() + keptMs) })) return start(req, claim)
      const known = await findKey(base, claim.apiKeyId, key)
      if (known !== undefined) return fitting(req, claim, known)
      // the one that had it was refused just now, so the key is free
    }
    throw errors.idempotencyKeyBusy()
  }

  function start(req: FastifyRequest, claim: KeyClaim): Run {
    const renew = () =>
      renewClaim(base, claim).catch((error) => req.log.warn({ err: error }, 'could not renew an idempotency key'))
    const renewing = setInterval(() => void renew(), leaseMs / 4).unref()
    return { claim, transaction: new RequestTransaction(base), renewing }
  }

  async function commit(req: FastifyRequest, { claim, transaction }: Run, status: number, text: string) {
    const answer = {
      status,
      body: withoutSecrets(text, req.routeOptions.config.secrets),
      bodyHash: req.uploadHash?.digest() ?? null,
    }
    await transaction.commit(async (tx) => {
      if (!(await storeAnswer(tx, claim, answer))) throw errors.idempotencyKeyBusy()
    })
  }

  /** Should this fail, the mark is void when its lease is over. */
  async function forget(req: FastifyRequest, claim: KeyClaim) {
    await releaseKey(base, claim).catch((error) => req.log.warn({ err: error }, 'could not free an idempotency key'))
  }
}

function isUpload(req: FastifyRequest): boolean {
  return req.routeOptions.config.upload === true
}

/** What must be the same when the key comes again. The bytes of an upload are not there yet. */
function hashOf(req: FastifyRequest): Buffer {
  const body = isUpload(req) ? undefined : req.body
  const request = [req.routeOptions.url, req.params, req.query, body ?? null]
  return createHash('sha256').update(written(request)).digest()
}

/** Reading a body takes no stack and writing it does: one of thousands of levels came in and cannot go out. */
function written(request: unknown[]): string {
  try {
    return JSON.stringify(request)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw errors.unreadableRequest('Malformed request body: nested too deeply')
  }
}

/** The answer that a key has, if it is the key of this very request; of an upload every byte is compared first. */
async function fitting(req: FastifyRequest, claim: KeyClaim, known: KnownKey): Promise<KnownKey> {
  if (!known.requestHash.equals(claim.requestHash)) throw errors.idempotencyKeyReused()
  if (known.status === null) throw errors.idempotencyKeyBusy()
  if (isUpload(req)) {
    const hash = await hashUpload(req.body as Readable)
    if (!known.bodyHash?.equals(hash)) throw errors.idempotencyKeyReused()
  }
  return known
}

function hashUpload(body: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256')
    const timer = setTimeout(() => reject(errors.uploadStalled()), longestSilenceMs)
    body.on('data', (bytes: Buffer) => {
      hash.update(bytes)
      timer.refresh()
    })
    body.on('end', () => resolve(hash.digest()))
    body.on('error', () => reject(errors.uploadBroken()))
    body.on('close', () => {
      clearTimeout(timer)
      reject(errors.uploadBroken())
    })
  })
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

/** The answer with null in the place of what must not be kept. */
function withoutSecrets(text: string, secrets: string[] | undefined): string {
  if (secrets === undefined) return text
  const answer = JSON.parse(text)
  for (const place of secrets) {
    const path = place.split('.')
    const last = path.pop() ?? ''
    const holder = path.reduce((value, key) => value?.[key], answer)
    if (holder) holder[last] = null
  }
  return JSON.stringify(answer)
}
