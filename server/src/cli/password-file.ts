import { readFileSync } from 'node:fs'
import { makePassword } from '../accounts/passwords.ts'
import { OperatorError } from '../errors.ts'
import { textOf } from './arguments.ts'
import { type CommandContext, UsageError } from './command.ts'

/** The option `--password-file` of a command. */
export const passwordOption = {
  value: 'file',
  help: 'File with the password, or - for standard input; by default one is generated and printed',
}

/** Returns the password of `--password-file`, or a generated one; throws if the file cannot be read or its password is too short. */
export function readPassword(context: CommandContext): { text: string; isGenerated: boolean } {
  const file = textOf(context, 'password-file')
  if (file === undefined) return { text: makePassword(), isGenerated: true }
  try {
    const text = (file === '-' ? context.readInput() : readFileSync(context.resolve(file), 'utf8')).replace(
      /\r?\n$/,
      '',
    )
    if (text.length >= 12) return { text, isGenerated: false }
  } catch (error) {
    throw new OperatorError(`--password-file cannot be read: ${(error as Error).message}`)
  }
  throw new UsageError('--password-file must contain a password of at least 12 characters')
}
