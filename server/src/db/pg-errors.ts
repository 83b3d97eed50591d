import pg from 'pg'

/** Returns whether the error is a violation of this constraint or unique index. */
export function violates(error: unknown, constraint: string): boolean {
  return error instanceof pg.DatabaseError && error.constraint === constraint
}

/** Returns whether the error is that a table of the statement does not exist. */
export function isTableMissing(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '42P01'
}

const raceCodes = new Set(['40P01', '40001'])

/** Returns whether the transaction was the victim of a deadlock or a serialization failure and should be retried. */
export function isRaceLost(error: unknown): boolean {
  return error instanceof pg.DatabaseError && raceCodes.has(error.code ?? '')
}

const socketCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT', 'ETIMEDOUT'])

const idleInTransactionTimeout = '25P03'

/**
 * Returns whether the database is unavailable (stopped, restarting, out of connections), or has ended the session because
 * the process was idle in a transaction, so that the caller should wait and retry.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) {
    const code = error.code ?? ''
    return code.startsWith('08') || code.startsWith('57P') || code === '53300' || code === idleInTransactionTimeout
  }
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string' && socketCodes.has(error.code)) return true
  return /Connection terminated|timeout exceeded when trying to connect|not queryable|Connection ended/i.test(
    error.message,
  )
}

/** Returns whether PostgreSQL cannot store a value: a string with a NUL, a number out of range, a value too large for an index. */
export function isBadValue(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false
  return error.code === '54000' || (error.code ?? '').startsWith('22')
}
