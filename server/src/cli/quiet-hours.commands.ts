import { readDate } from '../lib/dates.ts'
import { formatTimeOfDay, parseHours } from '../quiet-hours/local-time.ts'
import { knownStates } from '../quiet-hours/locations.ts'
import {
  listQuietHours,
  type OwnHours,
  type QuietHoursRow,
  replaceLegalHours,
} from '../quiet-hours/quiet-hours.queries.ts'
import { changeQuietHours, findConflicts, readQuietHours } from '../quiet-hours/quiet-hours.ts'
import { resolveAccount, textOf } from './arguments.ts'
import { type CliCommand, type CommandContext, table, UsageError } from './command.ts'

const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

const list: CliCommand = {
  name: 'quiet-hours list',
  summary: 'List the hours in which people may be texted, by state, and their source',
  options: { account: { value: 'id or email', help: 'Show the hours of this account instead of the legal hours' } },
  async run(context) {
    const account = textOf(context, 'account') ? await resolveAccount(context) : undefined
    const rows = await listQuietHours(context.db, account?.id ?? null)
    return {
      lines: table(
        ['STATE', 'DAYS', 'FROM', 'TO', 'AS OF', 'SOURCE'],
        rows.map((row) => [
          row.state,
          row.weekdays.map((day) => days[day - 1]).join(' '),
          formatTimeOfDay(row.from),
          formatTimeOfDay(row.to),
          row.asOf,
          row.own ? `${row.source} (own)` : row.source,
        ]),
      ),
      json: { hours: rows.map(present) },
    }
  },
}

const set: CliCommand = {
  name: 'quiet-hours set',
  summary: "Set a state's legal hours, for all accounts",
  options: {
    state: { value: 'state', help: 'Two letters; US applies to every state without its own hours', required: true },
    hours: { value: 'hours', help: '1-5 09:00-18:00, 6-7 10:00-17:00; 1 is Monday. none: as US', required: true },
    source: { value: 'text', help: 'Source of the hours, such as a statute', required: true },
    'as-of': { value: 'day', help: 'Date of the source; by default today' },
  },
  notes: ['The given hours replace all hours of the state. On a day without hours no text is sent.'],
  async run(context) {
    const state = textOf(context, 'state') ?? ''
    if (!/^[A-Z]{2}$/.test(state)) throw new UsageError(`--state must be two capital letters, not ${state}`)
    if (!knownStates.has(state))
      throw new UsageError(`--state must be a state of the United States or US, not ${state}`)
    const hours = readHoursOf(state, context)
    if (hours.length === 0 && state === 'US') throw new UsageError('--hours of US cannot be none')
    const given = textOf(context, 'as-of') ?? context.clock.now().toISOString().slice(0, 10)
    const asOf = readDate(given)
    if (asOf === undefined) throw new UsageError(`--as-of must be a day such as 2031-05-06, not ${given}`)
    await context.db.tx((tx) => replaceLegalHours(tx, state, hours, asOf))
    const rows = (await listQuietHours(context.db, null)).filter((row) => row.state === state)
    return {
      lines: [rows.length > 0 ? `${state} has new hours.` : `${state} has no hours of its own now.`],
      json: { hours: rows.map(present) },
    }
  },
}

const keep: CliCommand = {
  name: 'quiet-hours keep',
  summary: 'Set which texts of an account observe quiet hours',
  options: {
    account: { value: 'id or email', help: 'Account of the texts', required: true },
    broadcasts: { value: 'on or off', help: 'Its broadcasts' },
    transactional: { value: 'on or off', help: 'Its texts to given numbers' },
  },
  async run(context) {
    const account = await resolveAccount(context)
    const change = {
      broadcasts: readSwitch(context, 'broadcasts'),
      transactional: readSwitch(context, 'transactional'),
    }
    await changeQuietHours(context, account.id, change)
    const { broadcasts, transactional } = await readQuietHours(context.db, account.id)
    const describe = (on: boolean) => (on ? 'observe quiet hours' : 'are sent at any hour')
    return {
      lines: [
        `Account ${account.id}: broadcasts ${describe(broadcasts)}, texts to given numbers ${describe(transactional)}.`,
      ],
      json: { account_id: account.id, broadcasts, transactional },
    }
  },
}

function readSwitch(context: CommandContext, name: string): boolean | undefined {
  const given = textOf(context, name)
  if (given === undefined) return undefined
  if (given !== 'on' && given !== 'off') throw new UsageError(`--${name} must be on or off, not ${given}`)
  return given === 'on'
}

function readHoursOf(state: string, context: CommandContext): OwnHours[] {
  const given = textOf(context, 'hours') ?? ''
  const source = textOf(context, 'source') ?? ''
  if (given === 'none') return []
  const pieces = given.split(',')
  const rows = pieces.map((piece) => {
    const [, first, last = first, from = '', to = ''] =
      /^\s*([1-7])(?:-([1-7]))?\s+(\d\d:\d\d)-(\d\d:\d\d)\s*$/.exec(piece) ?? []
    const hours = parseHours({ from, to })
    const weekdays = [1, 2, 3, 4, 5, 6, 7].filter((day) => day >= Number(first) && day <= Number(last))
    if (hours && weekdays.length > 0) return { state, weekdays, source, ...hours }
    throw new UsageError(`--hours must be such as 1-5 09:00-18:00, or none, not ${given}`)
  })
  const [conflict] = findConflicts(rows)
  if (!conflict) return rows
  const [one, other] = conflict.map((n) => pieces[n]?.trim())
  throw new UsageError(`--hours ${one} and ${other} share a weekday but no time of that day`)
}

const present = ({ asOf, from, to, ...row }: QuietHoursRow) => ({
  ...row,
  from: formatTimeOfDay(from),
  to: formatTimeOfDay(to),
  as_of: asOf,
})

export const quietHoursCommands: CliCommand[] = [list, set, keep]
