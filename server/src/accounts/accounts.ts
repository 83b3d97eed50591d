import type { Db } from '../db/db.ts'
import { violates } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import { type Account, insertAccount, insertUser, type Role, type User } from './accounts.queries.ts'
import { hashPassword } from './passwords.ts'

export type NewAccount = {
  email: string
  username: string
  timeZone: string
  password: string
  /** Whether its broadcasts observe quiet hours. */
  quietHours: boolean
}

/** Creates an account with its owner as the first user; throws `emailTaken` if another account or user has the email. */
export async function createAccount(db: Db, given: NewAccount, now: Date): Promise<{ account: Account; user: User }> {
  const passwordHash = await hashPassword(given.password)
  try {
    return await db.tx(async (tx) => {
      const account = await insertAccount(tx, given, now)
      const owner = { accountId: account.id, email: given.email, role: 'owner' as const, passwordHash }
      const user = await insertUser(tx, owner, now)
      return { account, user }
    })
  } catch (error) {
    throw toAppError(error)
  }
}

/** Adds a user to an account; throws `emailTaken` if another user has the email. */
export async function addUser(
  db: Db,
  given: { accountId: number; email: string; role: Role; password: string },
  now: Date,
): Promise<User> {
  const passwordHash = await hashPassword(given.password)
  try {
    return await db.tx((tx) => insertUser(tx, { ...given, passwordHash }, now))
  } catch (error) {
    throw toAppError(error)
  }
}

function toAppError(error: unknown): unknown {
  return violates(error, 'accounts_email_key') || violates(error, 'users_email_key') ? errors.emailTaken() : error
}
