import type { Config } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import { SealError, Sealer } from '../lib/seal.ts'

/** The columns of a connection that are stored sealed. */
export type SecretField = 'password' | 'tls_key'

export const secretKeyHint =
  'Set CARILLON_SECRET_KEY for this process; a key created by npm start is in secret.key of the data directory.'

/** Returns a sealer with the installation's secret key; undefined if this process has no key. */
export function makeSealer({ secretKey }: Pick<Config, 'secretKey'>): Sealer | undefined {
  return secretKey && new Sealer(Buffer.from(secretKey.reveal(), 'hex'))
}

export function sealSecret(sealer: Sealer, field: SecretField, secret: Secret): Buffer {
  return sealer.seal(secret.reveal(), purposeOf(field))
}

/** Returns whether `sealed` contains this secret, sealed with this key. */
export function matchesSecret(sealer: Sealer, field: SecretField, sealed: Buffer, secret: Secret): boolean {
  try {
    return sealer.open(sealed, purposeOf(field)) === secret.reveal()
  } catch {
    return false
  }
}

/** Decrypts a stored secret; throws a SealError with a message for the operator. */
export function openSecret(sealer: Sealer | undefined, name: string, field: SecretField, sealed: Buffer): Secret {
  const subject = `The ${field} of connection ${name}`
  if (!sealer) throw new SealError(`${subject} is sealed, and this process has no secret key. ${secretKeyHint}`)
  try {
    return new Secret(sealer.open(sealed, purposeOf(field)))
  } catch (error) {
    if (error instanceof SealError) throw new SealError(`${subject} ${error.message}. ${secretKeyHint}`)
    throw error
  }
}

function purposeOf(field: SecretField): string {
  return `connections.${field}`
}
