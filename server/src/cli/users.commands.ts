import { listUsers, type Role } from '../accounts/accounts.queries.ts'
import { addUser, changePassword, removeUser } from '../accounts/accounts.ts'
import { readEmail, resolveAccount, textOf } from './arguments.ts'
import { type CliCommand, table, UsageError } from './command.ts'
import { passwordOption, readPassword } from './password-file.ts'

const add: CliCommand = {
  name: 'user add',
  summary: 'Add a user to an account',
  options: {
    account: { value: 'id or email', help: 'Account of the user', required: true },
    email: { value: 'address', help: 'Login of the user', required: true },
    role: { value: 'role', help: 'owner, editor (the default) or viewer' },
    'password-file': passwordOption,
  },
  async run(context) {
    const role = (textOf(context, 'role') ?? 'editor') as Role
    if (!['owner', 'editor', 'viewer'].includes(role)) throw new UsageError('--role must be owner, editor or viewer')
    const account = await resolveAccount(context)
    const { text, isGenerated } = readPassword(context)
    const user = await addUser(
      context.db,
      { accountId: account.id, email: readEmail(context), role, password: text },
      context.clock.now(),
    )
    return {
      lines: [
        `Added user ${user.email} (${user.role}) to account ${account.id}.`,
        ...(isGenerated ? [`Password: ${text} (printed only once)`] : []),
      ],
      json: { user: presentUser(user), ...(isGenerated && { password: text }) },
    }
  },
}

const list: CliCommand = {
  name: 'user list',
  summary: 'List the users, of one account or of all',
  options: { account: { value: 'id or email', help: 'Only its users' } },
  async run(context) {
    const users = await listUsers(context.db, textOf(context, 'account') ? (await resolveAccount(context)).id : null)
    return {
      lines: table(
        ['ID', 'ACCOUNT', 'EMAIL', 'ROLE'],
        users.map(({ id, accountId, email, role }) => [String(id), String(accountId), email, role]),
      ),
      json: { users: users.map(presentUser) },
    }
  },
}

const userEmail = { value: 'address', help: 'Login of the user', required: true }

const remove: CliCommand = {
  name: 'user remove',
  summary: 'Remove a user; the last owner of an account cannot be removed',
  options: { email: userEmail },
  async run(context) {
    const user = await removeUser(context.db, readEmail(context))
    return {
      lines: [`Removed user ${user.email} (${user.role}) from account ${user.accountId}.`],
      json: { user: presentUser(user) },
    }
  },
}

const setPassword: CliCommand = {
  name: 'user password',
  summary: 'Set the password of a user, by default a generated one',
  options: { email: userEmail, 'password-file': passwordOption },
  notes: [
    'The password is never an argument, because other accounts of the machine can read the arguments of a process.',
  ],
  async run(context) {
    const { text, isGenerated } = readPassword(context)
    const user = await changePassword(context.db, readEmail(context), text)
    return {
      lines: [
        `Changed the password of ${user.email}.`,
        ...(isGenerated ? [`Password: ${text} (printed only once)`] : []),
      ],
      json: { user: presentUser(user), ...(isGenerated && { password: text }) },
    }
  },
}

export const userCommands: CliCommand[] = [add, list, setPassword, remove]

function presentUser({ id, accountId, email, role }: Awaited<ReturnType<typeof addUser>>) {
  return { id, account_id: accountId, email, role }
}
