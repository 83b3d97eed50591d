import type { Db } from '../db/db.ts'
import { violates } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import {
  type Account,
  deleteUser,
  findUserByEmail,
  insertAccount,
  insertUser,
  lockOwners,
  type Role,
  type User,
  updateDisabled,
  updatePassword,
} from './accounts.queries.ts'
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

/**
 * Removes a user; throws `userNotFound`, or `lastOwner` if the account would have no owner. If two owners are removed
 * concurrently, the second one waits for the first and is then the last.
 */
export function removeUser(db: Db, email: string): Promise<User> {
  return db.tx(async (tx) => {
    const user = await findUserByEmail(tx, email)
    if (!user) throw errors.userNotFound()
    const owners = await lockOwners(tx, user.accountId)
    if (owners.length === 1 && owners[0] === user.id) throw errors.lastOwner()
    const removed = await deleteUser(tx, user.id)
    if (!removed) throw errors.userNotFound()
    return removed
  })
}

/** Sets a user's password, which invalidates the previous one; throws `userNotFound`. */
export async function changePassword(db: Db, email: string, password: string): Promise<User> {
  const passwordHash = await hashPassword(password)
  const user = await findUserByEmail(db, email)
  const changed = user && (await updatePassword(db, user.id, passwordHash))
  if (!changed) throw errors.userNotFound()
  return changed
}

/**
 * Disables an account. When this has committed, its keys are rejected in all processes, and none of its texts is marked for
 * submission, except replies to STOP and HELP. Texts that were marked before are sent within a second.
 */
export function disableAccount(db: Db, id: number, now: Date): Promise<Account> {
  return updateDisabled(db, id, now)
}

/** Enables a disabled account: its keys are valid again, and its queued and scheduled texts are sent. */
export function enableAccount(db: Db, id: number): Promise<Account> {
  return updateDisabled(db, id, null)
}

function toAppError(error: unknown): unknown {
  return violates(error, 'accounts_email_key') || violates(error, 'users_email_key') ? errors.emailTaken() : error
}
