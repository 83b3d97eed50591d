import { type Sql, sql } from '../../db/sql.ts'

/** Sealed secrets that sign events; the previous one signs until a time. */
export type SealedSecrets = { secret: Buffer | null; previousSecret: Buffer | null; previousSecretUntil: Date | null }

/** The columns of the secrets. */
export const secretColumns = /* sql */ `
  secret, previous_secret as "previousSecret", previous_secret_until as "previousSecretUntil"`

/** The assignments of an update that replaces the secrets. */
export const assignSecrets = ({ secret, previousSecret, previousSecretUntil }: SealedSecrets): Sql =>
  sql`secret = ${secret}, previous_secret = ${previousSecret}, previous_secret_until = ${previousSecretUntil}`
