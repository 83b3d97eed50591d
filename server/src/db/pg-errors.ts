import pg from 'pg'

/** Returns whether the error is a violation of this constraint or unique index. */
export function violates(error: unknown, constraint: string): boolean {
  return error instanceof pg.DatabaseError && error.constraint === constraint
}

/** Returns whether the error is that a table of the statement does not exist. */
export function isTableMissing(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '42P01'
}

// lock_not_available after lock_timeout, and object_not_in_prerequisite_state, for example while another partition is being detached
const busyCodes = new Set(['55P03', '55000'])

/** Returns whether a change of a table gave way to sessions that use it, and should be repeated later. */
export function isTableInUse(error: unknown): boolean {
  return error instanceof pg.DatabaseError && busyCodes.has(error.code ?? '')
}

const raceCodes = new Set(['40P01', '40001'])

/** Returns whether the transaction was the victim of a deadlock or a serialization failure and should be retried. */
export function isRaceLost(error: unknown): boolean {
  return error instanceof pg.DatabaseError && raceCodes.has(error.code ?? '')
}

const socketCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT', 'ETIMEDOUT'])

const idleInTransactionTimeout = '25P03'

/**
 * Returns whether the error is one of an unavailable database (stopped, restarting, out of connections), or of a session
 * that has ended, for example because the process was idle in a transaction. `isDatabaseLost` tells the two apart.
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

// invalid transaction state (read-only), insufficient resources, object in use, operator intervention, system error
const resourceClasses = new Set(['25', '53', '55', '57', '58'])

// PostgreSQL has no SQLSTATE for some errors of files, such as EFBIG, and reports an internal error
const internalError = 'XX000'
const sourceFilesOfStorage = new Set(['md.c', 'fd.c', 'buffile.c', 'slru.c', 'xlog.c'])

/** Returns whether the error is one of the database's state or resources, which every statement may get. */
export function isOutOfResources(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false
  const { code = '', file = '' } = error
  return resourceClasses.has(code.slice(0, 2)) || (code === internalError && sourceFilesOfStorage.has(file))
}

// data exception, integrity constraint violation, program limit exceeded (such as the size of an index row)
const valueClasses = new Set(['22', '23', '54'])

/**
 * Returns whether work may have failed because of the values of one of its rows: an error of PostgreSQL about values, or one of our
 * own code. Without these values, the rest of the work may succeed.
 */
export function isErrorOfValues(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return valueClasses.has((error.code ?? '').slice(0, 2))
  return !isDatabaseUnavailable(error)
}

/** Describes the kind of an error without its message, which may quote values of rows. */
export function kindOfError(error: unknown): string {
  if (error instanceof pg.DatabaseError) {
    return `PostgreSQL error ${error.code ?? 'without a code'}${error.constraint ? ` (${error.constraint})` : ''}`
  }
  if (!(error instanceof Error)) return 'unknown error'
  return 'code' in error && typeof error.code === 'string' ? `${error.name} (${error.code})` : error.name
}

/** Returns whether PostgreSQL cannot store a value: a string with a NUL, a number out of range, a value too large for an index. */
export function isBadValue(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false
  return error.code === '54000' || (error.code ?? '').startsWith('22')
}
