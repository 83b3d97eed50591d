import { type Account, findAccount, findAccountByEmail } from '../accounts/accounts.queries.ts'
import { OperatorError } from '../errors.ts'
import { parseShortCode } from '../short-codes/short-codes.ts'
import { type CommandContext, UsageError } from './command.ts'

/** Returns the text of an option; undefined when it is not given. */
export function textOf({ options }: CommandContext, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Returns the account that `--account` names by id or address; throws OperatorError if there is none. */
export async function resolveAccount(context: CommandContext): Promise<Account> {
  const text = textOf(context, 'account') ?? ''
  const id = /^\d{1,15}$/.test(text) ? Number(text) : undefined
  const account = id === undefined ? await findAccountByEmail(context.db, text) : await findAccount(context.db, id)
  if (!account) throw new OperatorError(`There is no account ${text}.`)
  return account
}

/** Parses a short code; throws UsageError for a malformed one. */
export function readCode(text: string): string {
  const code = parseShortCode(text)
  if (code === undefined)
    throw new UsageError(`A short code must have three to six digits, a phone number ten, not ${text}`)
  return code
}
