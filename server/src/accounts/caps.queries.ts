import type { Db } from '../db/db.ts'

/** Shares the lock of an account's cap until the end of the transaction; waits for a request that has it alone. */
export function shareCap(tx: Db, name: string, accountId: number) {
  return tx.exec('share_cap', /* sql */ `select pg_advisory_xact_lock_shared(hashtextextended($1, $2))`, [
    `cap ${name}`,
    accountId,
  ])
}

/** Locks an account's cap alone until the end of the transaction; waits for all requests that have its lock. */
export function lockCap(tx: Db, name: string, accountId: number) {
  return tx.exec('lock_cap', /* sql */ `select pg_advisory_xact_lock(hashtextextended($1, $2))`, [
    `cap ${name}`,
    accountId,
  ])
}
