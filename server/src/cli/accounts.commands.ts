import { type Account, listAccounts, updateAccountLimit, updateOperator } from '../accounts/accounts.queries.ts'
import { createAccount, disableAccount, enableAccount } from '../accounts/accounts.ts'
import { createApiKey } from '../accounts/api-keys.ts'
import type { Db } from '../db/db.ts'
import { wake } from '../db/wake.ts'
import { OperatorError } from '../errors.ts'
import { parseRateLimit, rateLimitFormat } from '../lib/rate-limit.ts'
import { listShortCodes } from '../short-codes/short-codes.queries.ts'
import { addShortCode } from '../short-codes/short-codes.ts'
import { readCode, readEmail, resolveAccount, textOf } from './arguments.ts'
import { type CliCommand, table, UsageError } from './command.ts'
import { countPendingWork, type PendingWork } from './installation.queries.ts'
import { passwordOption, readPassword } from './password-file.ts'

const accountOption = { value: 'id or email', help: 'The account', required: true }
const create: CliCommand = {
  name: 'account create',
  summary: 'Create an account with its owner, a short code and an API key',
  requires: 'new',
  options: {
    email: { value: 'address', help: 'Login of the account and of its first user', required: true },
    name: { value: 'text', help: "The account's name; by default the address before the @" },
    'time-zone': { value: 'zone', help: 'Such as America/New_York; by default America/Los_Angeles' },
    'short-code': { value: 'code', help: 'The number it sends from; by default a free one in sandbox mode' },
    'password-file': passwordOption,
  },
  async run(context) {
    const email = readEmail(context)
    const { text, isGenerated } = readPassword(context)
    const given = {
      email,
      username: textOf(context, 'name') ?? email.replace(/@.*$/, ''),
      timeZone: readTimeZone(textOf(context, 'time-zone') ?? 'America/Los_Angeles'),
      password: text,
      // sandbox texts reach no person
      quietHours: context.mode === 'production',
    }
    const wanted = textOf(context, 'short-code')
    const code = wanted === undefined ? undefined : readCode(wanted)
    if (code === undefined && context.mode === 'production') {
      throw new UsageError('--short-code is required in production: a number that your aggregator has assigned to you')
    }
    const made = await context.db.tx(async (tx) => {
      const { account } = await createAccount(tx, given, context.clock.now())
      const shortCode = await addShortCode(tx, account.id, code ?? (await findFreeShortCode(tx)), context.clock.now())
      const key = await createApiKey(tx, {
        accountId: account.id,
        name: 'First key',
        scope: 'full',
        rateLimit: null,
        sandbox: context.mode === 'sandbox',
        now: context.clock.now(),
      })
      return { account, shortCode, key }
    })
    const { account, shortCode, key } = made
    return {
      lines: [
        `Created account ${account.id}. The key${isGenerated ? ' and the password are' : ' is'} printed only once.`,
        '',
        `  Login       ${account.email}`,
        ...(isGenerated ? [`  Password    ${text}`] : []),
        `  API key     ${key.key}`,
        `  Short code  ${shortCode.code}`,
        '',
        'To send: create a list with POST /api/v2/lists, add a number, and post a message to it.',
      ],
      json: {
        account: presentAccount(account),
        ...(isGenerated && { password: text }),
        api_key: { id: key.id, key: key.key },
        short_code: shortCode.code,
      },
    }
  },
}

const list: CliCommand = {
  name: 'account list',
  summary: 'List the accounts',
  async run({ db }) {
    const accounts = await listAccounts(db)
    const rows: { account: Account; codes: string[] }[] = []
    for (const account of accounts) {
      rows.push({ account, codes: (await listShortCodes(db, account.id)).map(({ code }) => code) })
    }
    return {
      lines: table(
        ['ID', 'EMAIL', 'NAME', 'TIME ZONE', 'STATE', 'SHORT CODES'],
        rows.map(({ account: { id, email, username, timeZone, disabledAt }, codes }) => [
          String(id),
          email,
          username,
          timeZone,
          disabledAt ? 'disabled' : 'enabled',
          codes.join(' '),
        ]),
      ),
      json: { accounts: rows.map(({ account, codes }) => ({ ...presentAccount(account), short_codes: codes })) },
    }
  },
}

const operator: CliCommand = {
  name: 'account operator',
  summary: 'Allow an account to change installation-wide settings, such as connections',
  options: {
    account: accountOption,
    off: { help: 'Revoke this permission' },
  },
  notes: [
    'The first account of an installation is an operator. Only its API keys with scope full have this permission.',
  ],
  async run(context) {
    const { id } = await resolveAccount(context)
    const account = await updateOperator(context.db, id, !context.options.off)
    if (!account) throw new OperatorError(`There is no account ${id}.`)
    return {
      lines: [`Account ${account.id} (${account.email}) is ${account.isOperator ? 'an operator' : 'not an operator'}.`],
      json: { account: presentAccount(account) },
    }
  },
}

const limit: CliCommand = {
  name: 'account limit',
  summary: 'Limit the calls of all API keys of an account together',
  options: { account: { value: 'id or email', help: 'The account', required: true } },
  names: ['<limit>'],
  notes: [`The limit is ${rateLimitFormat}, or default for CARILLON_ACCOUNT_RATE_LIMIT.`],
  async run(context) {
    const { id } = await resolveAccount(context)
    const text = context.names[0] ?? ''
    if (text !== 'default' && !parseRateLimit(text))
      throw new UsageError(`The limit must be ${rateLimitFormat}, or default`)
    const account = await updateAccountLimit(context.db, id, text === 'default' ? null : text)
    if (!account) throw new OperatorError(`There is no account ${id}.`)
    return {
      lines: [`Account ${account.id} (${account.email}): ${text}.`],
      json: { account: presentAccount(account) },
    }
  },
}

const disable: CliCommand = {
  name: 'account disable',
  summary: 'Reject the keys of an account and stop its texts, until it is enabled again',
  options: { account: accountOption },
  notes: [
    'Nothing is deleted: queued and scheduled texts wait, replies of people are still interpreted, so that a STOP opts',
    'out, and the replies to STOP and HELP are sent. Texts that were about to be sent may still be sent within a second.',
  ],
  async run(context) {
    const { db, clock } = context
    const { id } = await resolveAccount(context)
    const account = await disableAccount(db, id, clock.now())
    const waiting = await countPendingWork(db, id)
    return {
      lines: [`Account ${id} (${account.email}) is disabled. ${describeWork(waiting)}`],
      json: { account: presentAccount(account), ...waiting },
    }
  },
}

const enable: CliCommand = {
  name: 'account enable',
  summary: 'Accept the keys of a disabled account again and send its texts',
  options: { account: accountOption },
  notes: [
    'All queued texts are sent, and scheduled messages that became due meanwhile start, if their deadlines have not passed.',
    'Cancel messages that must not be sent before you enable the account.',
  ],
  async run(context) {
    const { db } = context
    const { id } = await resolveAccount(context)
    const waiting = await countPendingWork(db, id)
    const account = await enableAccount(db, id)
    await wake(db, 'chunks')
    return {
      lines: [`Account ${id} (${account.email}) is enabled. ${describeWork(waiting)}`],
      json: { account: presentAccount(account), ...waiting },
    }
  },
}

function describeWork({ texts, messages, scheduled }: PendingWork): string {
  return `Queued texts: ${texts} of ${messages} messages; scheduled messages: ${scheduled}.`
}

export const accountCommands: CliCommand[] = [create, list, operator, limit, disable, enable]

function presentAccount({ id, email, username, timeZone, isOperator, rateLimit, disabledAt, createdAt }: Account) {
  return {
    id,
    email,
    username,
    time_zone: timeZone,
    is_operator: isOperator,
    rate_limit: rateLimit,
    disabled_at: disabledAt?.toISOString() ?? null,
    created_at: createdAt.toISOString(),
  }
}

function readTimeZone(zone: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone
  } catch {
    throw new UsageError(`--time-zone must be a zone such as America/New_York, not ${zone}`)
  }
}

/** Returns an unused short code for the sandbox, where no carrier has to assign it. */
async function findFreeShortCode(tx: Db): Promise<string> {
  const rows = await tx.many<{ code: string }>('list_all_short_codes', /* sql */ `select code from short_codes`)
  const taken = new Set(rows.map(({ code }) => code))
  for (let code = 88_223; ; code += 1) {
    if (!taken.has(String(code))) return String(code)
  }
}
