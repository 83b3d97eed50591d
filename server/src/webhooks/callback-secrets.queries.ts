import type { Db } from '../db/db.ts'
import { sql } from '../db/sql.ts'
import { assignSecrets, type SealedSecrets, secretColumns } from './delivery/sealed-secrets.sql.ts'

/** Returns the sealed secrets of the account's callbacks, or undefined. */
export function findCallbackSecrets(db: Db, accountId: number) {
  return db.maybeOne<SealedSecrets>(
    'find_callback_secrets',
    /* sql */ `select ${secretColumns} from callback_secrets where account_id = $1`,
    [accountId],
  )
}

/** Sets the secret of the account's callbacks if it has none; returns whether it did. */
export async function insertCallbackSecret(tx: Db, accountId: number, secret: Buffer): Promise<boolean> {
  const inserted = await tx.exec(
    'insert_callback_secret',
    /* sql */ `insert into callback_secrets (account_id, secret) values ($1, $2) on conflict (account_id) do nothing`,
    [accountId, secret],
  )
  return inserted > 0
}

/** Returns the sealed secrets of the account's callbacks, which stay as they are until the transaction ends. */
export function lockCallbackSecrets(tx: Db, accountId: number) {
  return tx.one<SealedSecrets>(
    'lock_callback_secrets',
    /* sql */ `select ${secretColumns} from callback_secrets where account_id = $1 for update`,
    [accountId],
  )
}

/** Replaces the secrets of the account's callbacks. */
export function replaceCallbackSecrets(tx: Db, accountId: number, secrets: SealedSecrets) {
  return tx.exec(
    'replace_callback_secrets',
    sql`update callback_secrets set ${assignSecrets(secrets)} where account_id = ${accountId}`,
  )
}
