import type { Config } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import { SealError, Sealer } from '../lib/seal.ts'

/** What of a connection is kept sealed, by the name of its column. */
export type SecretField = 'password' | 'tls_key'

export const secretKeyHint =
  'Give this process CARILLON_SECRET_KEY; where npm start made the key, it is in secret.key of the data directory.'

/** The installation's sealer; undefined for a process that was given no key. */
export function makeSealer({ secretKey }: Pick<Config, 'secretKey'>): Sealer | undefined {
  return secretKey && new Sealer(Buffer.from(secretKey.reveal(), 'hex'))
}

export function sealSecret(sealer: Sealer, field: SecretField, secret: Secret): Buffer {
  return sealer.seal(secret.reveal(), purposeOf(field))
}

/** Whether this very secret was sealed, with this very key. */
export function matchesSecret(sealer: Sealer, field: SecretField, sealed: Buffer, secret: Secret): boolean {
  try {
    return sealer.open(sealed, purposeOf(field)) === secret.reveal()
  } catch {
    return false
  }
}

/** Opens what a row keeps; throws a SealError with a sentence for the operator. */
export function openSecret(sealer: Sealer | undefined, name: string, field: SecretField, sealed: Buffer): Secret {
  const what = `The ${field} of connection ${name}`
  if (!sealer) throw new SealError(`${what} is sealed, and there is no key. ${secretKeyHint}`)
  try {
    return new Secret(sealer.open(sealed, purposeOf(field)))
  } catch (error) {
    if (error instanceof SealError) throw new SealError(`${what} ${error.message}. ${secretKeyHint}`)
    throw error
  }
}

function purposeOf(field: SecretField): string {
  return `connections.${field}`
}
