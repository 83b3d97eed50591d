import { listAccounts } from '../accounts/accounts.queries.ts'
import { listShortCodes } from '../short-codes/short-codes.queries.ts'
import { addShortCode, readShortCode } from '../short-codes/short-codes.ts'
import { accountOf } from './account-of.ts'
import { type Command, table, textOf, UsageError } from './command.ts'

/** A short code as it was typed, or a usage error. */
export function readCode(text: string): string {
  const code = readShortCode(text)
  if (code === undefined) throw new UsageError(`A short code has three to six digits, a number ten: ${text} has not`)
  return code
}

const add: Command = {
  name: 'short-code add',
  summary: 'Give an account a short code, a ten-digit or a toll-free number to send from',
  names: ['<code>'],
  options: { account: { value: 'id or email', help: 'Whose it is', required: true } },
  notes: ['The first one of an account is where its lists send from unless they name another.'],
  async run(work) {
    const code = readCode(work.names[0] ?? '')
    const account = await accountOf(work)
    await addShortCode(work.db, account.id, code)
    return {
      lines: [`Account ${account.id} sends from ${code}, too.`],
      json: { short_code: code, account_id: account.id },
    }
  },
}

const list: Command = {
  name: 'short-code list',
  summary: 'List the short codes, of one account or of all',
  options: { account: { value: 'id or email', help: 'Only its short codes' } },
  async run(work) {
    const accounts = textOf(work, 'account') ? [await accountOf(work)] : await listAccounts(work.db)
    const rows: { account_id: number; short_code: string }[] = []
    for (const { id } of accounts) {
      for (const { code } of await listShortCodes(work.db, id)) rows.push({ account_id: id, short_code: code })
    }
    return {
      lines: table(
        ['ACCOUNT', 'SHORT CODE'],
        rows.map((row) => [String(row.account_id), row.short_code]),
      ),
      json: { short_codes: rows },
    }
  },
}

export const shortCodeCommands: Command[] = [add, list]
