import { listAccounts } from '../accounts/accounts.queries.ts'
import { type ApiKey, findApiKey, listApiKeys, type Scope } from '../accounts/api-keys.queries.ts'
import { createApiKey, disableApiKey, enableApiKey, limitApiKey, removeApiKey } from '../accounts/api-keys.ts'
import { errors } from '../errors.ts'
import { parseRateLimit, rateLimitFormat } from '../lib/rate-limit.ts'
import { resolveAccount, textOf } from './arguments.ts'
import { type CliCommand, type CommandContext, table, UsageError } from './command.ts'

const limitOption = { value: 'limit', help: `Rate limit of the key: ${rateLimitFormat}` }

const create: CliCommand = {
  name: 'key create',
  summary: 'Create an API key',
  options: {
    account: { value: 'id or email', help: 'Account of the key', required: true },
    name: { value: 'text', help: 'Purpose of the key', required: true },
    scope: { value: 'scope', help: 'full (the default), read, or send' },
    'rate-limit': limitOption,
  },
  async run(context) {
    const scope = (textOf(context, 'scope') ?? 'full') as Scope
    if (!['full', 'read', 'send'].includes(scope)) throw new UsageError('--scope must be full, read or send')
    const operatorRateLimit = readLimit(context) ?? null
    const account = await resolveAccount(context)
    const made = await createApiKey(context.db, {
      accountId: account.id,
      name: textOf(context, 'name') ?? '',
      scope,
      rateLimit: null,
      operatorRateLimit,
      sandbox: context.mode === 'sandbox',
      now: context.clock.now(),
    })
    return {
      lines: [`Created key ${made.id} of account ${account.id}, printed only once:`, '', `  ${made.key}`],
      json: { api_key: { ...presentKey(made), key: made.key } },
    }
  },
}

const list: CliCommand = {
  name: 'key list',
  summary: 'List the API keys, of one account or of all',
  options: { account: { value: 'id or email', help: 'Only its keys' } },
  async run(context) {
    const accounts = textOf(context, 'account') ? [await resolveAccount(context)] : await listAccounts(context.db)
    const keys: ApiKey[] = []
    for (const { id } of accounts) keys.push(...(await listApiKeys(context.db, id, { perPage: 100_000, offset: 0 })))
    return {
      lines: table(
        ['ID', 'ACCOUNT', 'NAME', 'SCOPE', 'LIMIT', 'LAST USED', 'STATE'],
        keys.map((key) => [
          String(key.id),
          String(key.accountId),
          key.name,
          key.scope,
          key.rateLimit ?? key.operatorRateLimit ?? '-',
          key.lastUsedAt?.toISOString() ?? 'never',
          key.disabledAt ? 'disabled' : 'enabled',
        ]),
      ),
      json: { api_keys: keys.map(presentKey) },
    }
  },
}

const limit: CliCommand = {
  name: 'key limit',
  summary: "Set a key's rate limit",
  names: ['<id>', '<limit>'],
  notes: [
    `The limit is ${rateLimitFormat}, or default for the limit of the installation.`,
    'Through the API, the account can set lower limits only. Keys that this key creates from now on share its limit.',
  ],
  async run(context) {
    const key = await resolveKey(context)
    const text = context.names[1] ?? ''
    if (text !== 'default' && !parseRateLimit(text))
      throw new UsageError(`The limit must be ${rateLimitFormat}, or default`)
    const changed = await limitApiKey(context, actorOf(key), key.id, text === 'default' ? null : text)
    return { lines: [`Key ${key.id}: ${text}.`], json: { api_key: presentKey(changed) } }
  },
}

const disable: CliCommand = {
  name: 'key disable',
  summary: 'Disable a key until it is enabled again',
  names: ['<id>'],
  async run(context) {
    const key = await resolveKey(context)
    const changed = await disableApiKey(context, actorOf(key), key.id)
    return { lines: [`Key ${key.id} (${key.name}) is disabled.`], json: { api_key: presentKey(changed) } }
  },
}

const enable: CliCommand = {
  name: 'key enable',
  summary: 'Enable a disabled key',
  names: ['<id>'],
  async run(context) {
    const key = await resolveKey(context)
    const changed = await enableApiKey(context, actorOf(key), key.id)
    return { lines: [`Key ${key.id} (${key.name}) is enabled.`], json: { api_key: presentKey(changed) } }
  },
}

const revoke: CliCommand = {
  name: 'key revoke',
  summary: 'Revoke a key permanently',
  names: ['<id>'],
  async run(context) {
    const key = await resolveKey(context)
    await removeApiKey(context, actorOf(key), key.id)
    return { lines: [`Key ${key.id} (${key.name}) is revoked.`], json: { revoked: key.id } }
  },
}

export const keyCommands: CliCommand[] = [create, list, limit, disable, enable, revoke]

async function resolveKey({ db, names }: CommandContext): Promise<ApiKey> {
  const [text = ''] = names
  const key = /^\d{1,15}$/.test(text) ? await findApiKey(db, Number(text)) : undefined
  if (!key) throw errors.apiKeyNotFound()
  return key
}

function actorOf({ accountId }: ApiKey) {
  return { accountId, keyId: 'operator' as const }
}

function readLimit(context: CommandContext): string | undefined {
  const text = textOf(context, 'rate-limit')
  if (text !== undefined && !parseRateLimit(text)) throw new UsageError(`--rate-limit must be ${rateLimitFormat}`)
  return text
}

function presentKey(key: ApiKey) {
  return {
    id: key.id,
    account_id: key.accountId,
    name: key.name,
    scope: key.scope,
    rate_limit: key.rateLimit,
    operator_rate_limit: key.operatorRateLimit,
    limited_by: key.limitedBy,
    created_at: key.createdAt.toISOString(),
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
    disabled_at: key.disabledAt?.toISOString() ?? null,
  }
}
