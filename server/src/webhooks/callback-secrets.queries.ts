import type { Db } from '../db/db.ts'
import type { SealedSecrets } from './delivery/endpoints.queries.ts'

const columns = /* sql */ `
  secret, previous_secret as "previousSecret", previous_secret_until as "previousSecretUntil"`

/** Returns the sealed secrets of the account's callbacks, or undefined. */
export function findCallbackSecrets(db: Db, accountId: number) {
  return db.maybeOne<SealedSecrets>(
    'find_callback_secrets',
    /* sql */ `select ${columns} from callback_secrets where account_id = $1`,
    [accountId],
  )
}

/** Replaces the secret of the account's callbacks; the one before, if any, is valid until a time. Returns the secrets after that. */
export function replaceCallbackSecret(db: Db, accountId: number, secret: Buffer, previousUntil: Date) {
  return db.one<SealedSecrets>(
    'replace_callback_secret',
    /* sql */ `
    insert into callback_secrets as c (account_id, secret) values ($1, $2)
        on conflict (account_id) do update
       set secret = excluded.secret, previous_secret = c.secret, previous_secret_until = $3
    returning ${columns}`,
    [accountId, secret, previousUntil],
  )
}
