import { type Account, findAccount, findAccountByEmail } from '../accounts/accounts.queries.ts'
import { OperatorError } from '../errors.ts'
import { type CommandContext, textOf } from './command.ts'

/** The account that `--account` names, by id or address. */
export async function resolveAccount(context: CommandContext): Promise<Account> {
  const given = textOf(context, 'account') ?? ''
  const id = /^\d{1,15}$/.test(given) ? Number(given) : undefined
  const account = id === undefined ? await findAccountByEmail(context.db, given) : await findAccount(context.db, id)
  if (!account) throw new OperatorError(`There is no account ${given}.`)
  return account
}
