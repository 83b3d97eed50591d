import { makeSealer, secretKeyHint } from '../connections/secrets.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import type { Sealer } from '../lib/seal.ts'
import type { Runtime } from '../runtime.ts'
import { findSecrets, replaceSecret, type SealedSecrets } from './delivery/endpoints.queries.ts'
import { makeSealedSecret, openSecrets, sealWebhookSecret } from './delivery/secrets.ts'
import { readSecret } from './delivery/signature.ts'
import { getWebhook } from './webhooks.ts'

/** A webhook's secret in text form; null if its deliveries are not signed. The previous one is valid until then. */
export type WebhookSecret = { secret: string | null; previousValidUntil: Date | null }

/** Returns the secret of the account's webhook; throws the errors of `getWebhook`. */
export async function getWebhookSecret(
  rt: Pick<Runtime, 'db' | 'config' | 'clock'>,
  accountId: number,
  listId: number,
  id: number,
): Promise<WebhookSecret> {
  await getWebhook(rt.db, accountId, listId, id)
  return shown(makeSealer(rt.config), await findSecrets(rt.db, id), rt.clock.now())
}

/**
 * Replaces the secret of the account's webhook with the given one or a new one. The former one also signs for the given time.
 * Throws a 422 for a malformed secret, and the errors of `getWebhook`.
 */
export async function rotateWebhookSecret(
  rt: Pick<Runtime, 'db' | 'config' | 'clock'>,
  accountId: number,
  { listId, id }: { listId: number; id: number },
  given: { secret: string | undefined; previousValidHours: number },
): Promise<WebhookSecret> {
  const sealer = makeSealer(rt.config)
  if (!sealer) throw errors.noSecretKey(secretKeyHint)
  if (given.secret !== undefined && !readSecret(given.secret)) {
    throw errors.invalid({ 'webhook_secret.secret': ['must be whsec_ and 24 to 64 bytes in base64'] })
  }
  const sealed = given.secret === undefined ? makeSealedSecret(sealer) : sealWebhookSecret(sealer, given.secret)
  const now = rt.clock.now()
  const until = new Date(now.getTime() + given.previousValidHours * 3_600_000)
  return rt.db.tx(async (tx: Db) => {
    await getWebhook(tx, accountId, listId, id)
    return shown(sealer, await replaceSecret(tx, id, sealed, until), now)
  })
}

function shown(sealer: Sealer | undefined, sealed: SealedSecrets, now: Date): WebhookSecret {
  const [secret, previous] = sealer ? openSecrets(sealer, sealed, now) : []
  return { secret: secret ?? null, previousValidUntil: previous === undefined ? null : sealed.previousSecretUntil }
}
