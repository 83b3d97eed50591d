import { type Account, findAccount, findAccountByEmail } from '../accounts/accounts.queries.ts'
import { Refusal } from '../supervisor/refusal.ts'
import { textOf, type Work } from './command.ts'

/** The account that `--account` names, by id or address. */
export async function accountOf(work: Work): Promise<Account> {
  const given = textOf(work, 'account') ?? ''
  const id = /^\d{1,15}$/.test(given) ? Number(given) : undefined
  const account = id === undefined ? await findAccountByEmail(work.db, given) : await findAccount(work.db, id)
  if (!account) throw new Refusal(`There is no account ${given}.`)
  return account
}
