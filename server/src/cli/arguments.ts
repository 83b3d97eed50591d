import { type Account, findAccount, findAccountByEmail } from '../accounts/accounts.queries.ts'
import { OperatorError } from '../errors.ts'
import { parseShortCode } from '../short-codes/short-codes.ts'
import { type CommandContext, UsageError } from './command.ts'

/** Returns the value of an option; undefined if it is absent or empty. */
export function textOf({ options }: CommandContext, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Returns the account with the id or email of `--account`; throws OperatorError if it does not exist. */
export async function resolveAccount(context: CommandContext): Promise<Account> {
  const text = textOf(context, 'account') ?? ''
  const id = /^\d{1,15}$/.test(text) ? Number(text) : undefined
  const account = id === undefined ? await findAccountByEmail(context.db, text) : await findAccount(context.db, id)
  if (!account) throw new OperatorError(`There is no account ${text}.`)
  return account
}

/** Parses a short code; throws UsageError if it is malformed. */
export function readCode(text: string): string {
  const code = parseShortCode(text)
  if (code === undefined)
    throw new UsageError(`A short code must have three to six digits, a phone number ten, not ${text}`)
  return code
}

const emailPattern = /^[^\s@:]+@[^\s@:]+$/

/** Returns the option `--email`; throws if it is not an e-mail address. */
export function readEmail(context: CommandContext): string {
  const email = textOf(context, 'email') ?? ''
  if (!emailPattern.test(email)) throw new UsageError(`--email must be an e-mail address, not ${email}`)
  return email
}
