import { randomBytes } from 'node:crypto'
import type { Sealer } from '../../lib/seal.ts'
import type { SealedSecrets } from './sealed-secrets.sql.ts'
import { formatSecret, readSecret } from './signature.ts'

const purpose = 'endpoints.secret'

/** Seals a secret in text form. */
export function sealWebhookSecret(sealer: Sealer, text: string): Buffer {
  return sealer.seal(text, purpose)
}

/** Returns a new secret, sealed. */
export function makeSealedSecret(sealer: Sealer): Buffer {
  return sealWebhookSecret(sealer, formatSecret(randomBytes(32)))
}

/** Returns the valid secrets in text form, the newest first; throws a SealError if the key cannot open one. */
export function openSecrets(sealer: Sealer, sealed: SealedSecrets, now: Date): string[] {
  const { secret, previousSecret, previousSecretUntil } = sealed
  const isPreviousValid = previousSecretUntil !== null && previousSecretUntil > now
  const valid = [secret, isPreviousValid ? previousSecret : null].filter((each) => each !== null)
  return valid.map((each) => sealer.open(each, purpose))
}

/** Returns the bytes of the valid secrets, for signatures. */
export function signingSecrets(sealer: Sealer, sealed: SealedSecrets, now: Date): Buffer[] {
  return openSecrets(sealer, sealed, now).flatMap((text) => readSecret(text) ?? [])
}
