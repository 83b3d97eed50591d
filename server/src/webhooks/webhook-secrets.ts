import { makeSealer, secretKeyHint } from '../connections/secrets.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { SealError, type Sealer } from '../lib/seal.ts'
import type { Runtime } from '../runtime.ts'
import {
  findCallbackSecrets,
  insertCallbackSecret,
  lockCallbackSecrets,
  replaceCallbackSecrets,
} from './callback-secrets.queries.ts'
import { endPauses, findSecrets, lockSecrets, replaceSecrets } from './delivery/endpoints.queries.ts'
import type { SealedSecrets } from './delivery/sealed-secrets.sql.ts'
import { makeSealedSecret, openSecrets, sealWebhookSecret } from './delivery/secrets.ts'
import { readSecret } from './delivery/signature.ts'
import { getWebhook } from './webhooks.ts'

type SecretRuntime = Pick<Runtime, 'db' | 'config' | 'clock'>

/** A webhook's secret in text form; null if its deliveries are not signed. The previous one is valid until then. */
export type WebhookSecret = { secret: string | null; previousValidUntil: Date | null }

/** Returns the secret of the account's webhook; throws a 422 if the key cannot open it, and the errors of `getWebhook`. */
export async function getWebhookSecret(
  rt: SecretRuntime,
  accountId: number,
  listId: number,
  id: number,
): Promise<WebhookSecret> {
  await getWebhook(rt.db, accountId, listId, id)
  return shown(makeSealer(rt.config), await findSecrets(rt.db, id), rt.clock.now())
}

/** A new secret in text form, or undefined for a random one, and how long the former one also signs. */
export type SecretChange = { secret: string | undefined; previousValidHours: number }

/**
 * Replaces the secret of the account's webhook with the given one or a new one. The former one also signs for the given time, unless the
 * key cannot open it; then the endpoint was paused because of it, and is no longer. Throws a 422 for a malformed secret, and the errors
 * of `getWebhook`.
 */
export async function rotateWebhookSecret(
  rt: SecretRuntime,
  accountId: number,
  { listId, id }: { listId: number; id: number },
  change: SecretChange,
): Promise<WebhookSecret> {
  const { sealer, sealed, until } = readChange(rt, change, 'webhook_secret.secret')
  const now = rt.clock.now()
  return rt.db.tx(async (tx: Db) => {
    await getWebhook(tx, accountId, listId, id)
    const former = await lockSecrets(tx, id)
    const secrets = afterRotation(sealer, former, sealed, until)
    await replaceSecrets(tx, id, secrets)
    if (!canSign(sealer, former, now)) await endPauses(tx, { webhookId: id }, now)
    return shown(sealer, secrets, now)
  })
}

/** Returns the secret of the callbacks of the account; null if it has no secret. Throws a 422 if the key cannot open it. */
export async function getCallbackSecret(rt: SecretRuntime, accountId: number): Promise<WebhookSecret> {
  const sealed = await findCallbackSecrets(rt.db, accountId)
  return sealed ? shown(makeSealer(rt.config), sealed, rt.clock.now()) : { secret: null, previousValidUntil: null }
}

/** Sets or replaces the secret of the account's callbacks as `rotateWebhookSecret` does; throws a 422 for a malformed secret. */
export async function rotateCallbackSecret(
  rt: SecretRuntime,
  accountId: number,
  change: SecretChange,
): Promise<WebhookSecret> {
  const { sealer, sealed, until } = readChange(rt, change, 'callback_secret.secret')
  const now = rt.clock.now()
  return rt.db.tx(async (tx: Db) => {
    if (await insertCallbackSecret(tx, accountId, sealed)) return shown(sealer, firstSecret(sealed), now)
    const former = await lockCallbackSecrets(tx, accountId)
    const secrets = afterRotation(sealer, former, sealed, until)
    await replaceCallbackSecrets(tx, accountId, secrets)
    if (!canSign(sealer, former, now)) await endPauses(tx, { callbacksOf: accountId }, now)
    return shown(sealer, secrets, now)
  })
}

const firstSecret = (secret: Buffer): SealedSecrets => ({ secret, previousSecret: null, previousSecretUntil: null })

/** Returns the secrets after a rotation: one that the key cannot open would stop the deliveries until its time is over. */
function afterRotation(sealer: Sealer, { secret }: SealedSecrets, next: Buffer, until: Date): SealedSecrets {
  const isKept = secret !== null && canSign(sealer, firstSecret(secret), until)
  return { secret: next, previousSecret: isKept ? secret : null, previousSecretUntil: isKept ? until : null }
}

/** Returns whether the key can open the secrets that are valid at a time. */
function canSign(sealer: Sealer, secrets: SealedSecrets, at: Date): boolean {
  try {
    openSecrets(sealer, secrets, at)
    return true
  } catch (error) {
    if (error instanceof SealError) return false
    throw error
  }
}

function readChange(rt: SecretRuntime, { secret, previousValidHours }: SecretChange, field: string) {
  const sealer = makeSealer(rt.config)
  if (!sealer) throw errors.noSecretKey(secretKeyHint)
  if (secret !== undefined && !readSecret(secret)) {
    throw errors.invalid({ [field]: ['must be whsec_ and 24 to 64 bytes in base64'] })
  }
  const sealed = secret === undefined ? makeSealedSecret(sealer) : sealWebhookSecret(sealer, secret)
  return { sealer, sealed, until: new Date(rt.clock.now().getTime() + previousValidHours * 3_600_000) }
}

function shown(sealer: Sealer | undefined, sealed: SealedSecrets, now: Date): WebhookSecret {
  if (sealer && !canSign(sealer, sealed, now)) throw errors.secretUnreadable()
  const [secret, previous] = sealer ? openSecrets(sealer, sealed, now) : []
  return { secret: secret ?? null, previousValidUntil: previous === undefined ? null : sealed.previousSecretUntil }
}
