import { listAccounts } from '../accounts/accounts.queries.ts'
import { findConnection, findConnectionByName } from '../connections/connections.queries.ts'
import { presentSendingRoutes } from '../connections/sending-routes.schema.ts'
import {
  changeSendingSettings,
  getSendingSettings,
  type SendingSettings,
  type SendingSettingsChange,
} from '../connections/sending-routes.ts'
import { OperatorError } from '../errors.ts'
import { listShortCodes } from '../short-codes/short-codes.queries.ts'
import { addShortCode } from '../short-codes/short-codes.ts'
import { readCode, resolveAccount, textOf } from './arguments.ts'
import { type CliCommand, type CommandContext, type CommandResult, table, UsageError } from './command.ts'

const add: CliCommand = {
  name: 'short-code add',
  summary: 'Add a short code, a ten-digit or a toll-free number to an account',
  names: ['<code>'],
  options: { account: { value: 'id or email', help: 'Account of the short code', required: true } },
  notes: ['The lists of an account send from its first short code unless they name another.'],
  async run(context) {
    const code = readCode(context.names[0] ?? '')
    const account = await resolveAccount(context)
    await addShortCode(context.db, account.id, code, context.clock.now())
    return {
      lines: [`Added short code ${code} to account ${account.id}.`],
      json: { short_code: code, account_id: account.id },
    }
  },
}

const list: CliCommand = {
  name: 'short-code list',
  summary: 'List the short codes, of one account or of all',
  options: { account: { value: 'id or email', help: 'Only its short codes' } },
  async run(context) {
    const accounts = textOf(context, 'account') ? [await resolveAccount(context)] : await listAccounts(context.db)
    const rows: { account_id: number; short_code: string }[] = []
    for (const { id } of accounts) {
      for (const { code } of await listShortCodes(context.db, id)) rows.push({ account_id: id, short_code: code })
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

const route: CliCommand = {
  name: 'short-code route',
  summary: 'Show or change the sending routes of a short code',
  names: ['<code>'],
  options: {
    through: { value: 'connections', help: "Names or ids, separated by commas: 'Cedar SMS, Spare/1, Other/1/3'" },
    all: { help: 'Remove its routes, so that it sends through the connections for all short codes' },
  },
  notes: [
    'A name may be followed by its tier (default 0) and its weight (default 1). The lowest tier with a bound connection sends',
    'the texts, distributed by weight; a tier sends nothing while a lower tier is bound.',
  ],
  async run(context) {
    const text = textOf(context, 'through')
    if (text !== undefined && context.options.all) throw new UsageError('--through and --all exclude each other')
    const code = readCode(context.names[0] ?? '')
    if (text === undefined && !context.options.all)
      return presentSending(code, await getSendingSettings(context.db, code))
    const routes = text === undefined ? [] : await readRoutes(context, text)
    return presentSending(code, await changeSendingSettings(context.db, code, { routes }))
  },
}

const set: CliCommand = {
  name: 'short-code set',
  summary: 'Set the cap of a short code in parts per second',
  names: ['<code>'],
  options: {
    mps: { value: 'number', help: 'Cap over all connections, from 1 to 100000; none for no cap', required: true },
  },
  async run(context) {
    const text = textOf(context, 'mps') ?? ''
    const mps = text === 'none' ? null : Number(text)
    const isCap = /^\d{1,6}$/.test(text) && mps !== null && mps >= 1 && mps <= 100_000
    if (mps !== null && !isCap) throw new UsageError('--mps must be a whole number from 1 to 100000, or none')
    const code = readCode(context.names[0] ?? '')
    return presentSending(code, await changeSendingSettings(context.db, code, { mps }))
  },
}

export const shortCodeCommands: CliCommand[] = [add, list, route, set]

async function readRoutes({ db }: CommandContext, text: string): Promise<NonNullable<SendingSettingsChange['routes']>> {
  const routes: NonNullable<SendingSettingsChange['routes']> = []
  for (const part of text.split(',')) {
    const [, name = '', tier = '0', weight = '1'] =
      /^\s*([^/]*[^/\s])\s*(?:\/\s*(\d{1,2})\s*)?(?:\/\s*(\d{1,4})\s*)?$/.exec(part) ?? []
    if (name === '')
      throw new UsageError(`--through must be name/tier/weight, such as Cedar SMS/0/1, not ${part.trim()}`)
    // a name is never a number, and an id has at most 15 digits
    const row = /^\d{1,15}$/.test(name) ? await findConnection(db, Number(name)) : await findConnectionByName(db, name)
    if (!row) throw new OperatorError(`There is no connection ${name}.`)
    const route = { connectionId: row.id, tier: Number(tier), weight: Number(weight) }
    if (route.weight < 1 || route.weight > 1_000) throw new UsageError('The weight must be a number from 1 to 1000')
    routes.push(route)
  }
  return routes
}

function presentSending(code: string, { mps, routes }: SendingSettings): CommandResult {
  const rows = routes.map(({ name, tier, weight }) => [name, String(tier), String(weight)])
  return {
    lines: [
      `${code} sends ${mps === null ? 'without its own cap' : `at most ${mps} parts per second`}.`,
      ...(rows.length > 0
        ? table(['CONNECTION', 'TIER', 'WEIGHT'], rows)
        : ['It has no sending routes and uses the connections for all short codes.']),
    ],
    json: {
      short_code: code,
      mps,
      routes: presentSendingRoutes(routes),
    },
  }
}
