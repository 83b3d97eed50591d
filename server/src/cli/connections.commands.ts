import { readFileSync } from 'node:fs'
import { carrierName } from '../carriers/carriers.ts'
import { findAlarms } from '../connections/alarms.ts'
import { changeConnection, createConnection, removeConnection } from '../connections/changes.ts'
import {
  type ConnectionRow,
  findConnection,
  findConnectionByName,
  listBindSlots,
  listConnections,
} from '../connections/connections.queries.ts'
import { presentConnection, presentTest } from '../connections/connections.schema.ts'
import { openConnection, problemOf } from '../connections/connections.ts'
import { probe } from '../connections/probe.ts'
import { connectionFields, parseConnectionFields } from '../connections/settings.schema.ts'
import { errors, OperatorError } from '../errors.ts'
import { type CliCommand, type CommandContext, type CommandResult, type Option, table, UsageError } from './command.ts'

/** Fields that are read from files: certificates, and secrets, because every user of the machine can see a command line. */
const fromFile: Record<string, string> = {
  password: 'password-file',
  tls_key: 'tls-key-file',
  tls_ca: 'tls-ca',
  tls_certificate: 'tls-certificate',
}

const optionOf = (field: string) => fromFile[field] ?? field.replaceAll('_', '-')

const fieldOptions: Record<string, Option> = Object.fromEntries(
  Object.entries(connectionFields).map(([field, { type, enum: words, description, minimum, maximum }]) => {
    const types = [type].flat()
    const value = fromFile[field]
      ? 'file'
      : types.includes('integer')
        ? 'number'
        : types.includes('boolean')
          ? 'yes or no'
          : types.includes('object')
            ? 'JSON'
            : words
              ? 'word'
              : 'text'
    const limits = minimum === undefined ? [] : [`From ${minimum} to ${maximum}.`]
    const help = [description, ...(words ? [`One of: ${words.join(', ')}.`] : []), ...limits].join(' ')
    return [optionOf(field), { value, help: help.replace(/\bnull\b/g, 'none').replace(/\.$/, '') }]
  }),
)

const { name: renamed, ...withoutName } = fieldOptions
const notes = ['Type none for no value, where allowed: --mps none. The connection stores the content of files.']

const list: CliCommand = {
  name: 'connection list',
  summary: 'List the connections and their binds',
  async run(context) {
    const config = context.connectionConfig()
    const rows = await listConnections(context.db)
    const slots = await listBindSlots(
      context.db,
      rows.map(({ id }) => id),
    )
    const bound = (row: ConnectionRow) => slots.filter((slot) => slot.connectionId === row.id && slot.bound).length
    return {
      lines: table(
        ['ID', 'NAME', 'ADDRESS', 'BOUND', 'MPS', ''],
        rows.map((row) => [
          String(row.id),
          row.name,
          addressOf(row),
          `${bound(row)} of ${row.slots}`,
          row.mps === null ? 'no cap' : String(row.mps),
          row.enabled ? (problemOf(row, config) ?? '') : 'disabled',
        ]),
      ),
      json: { connections: await Promise.all(rows.map((row) => present(context, row))) },
    }
  },
}

const show: CliCommand = {
  name: 'connection show',
  summary: 'Show a connection without its secrets',
  names: ['<name or id>'],
  async run(context) {
    const connection = await present(context, await resolveConnection(context))
    const { binds, alarms, ...settings } = connection
    return {
      lines: [
        ...table(
          ['FIELD', 'VALUE'],
          Object.entries(settings).map(([field, value]) => [field, textOfValue(value)]),
        ),
        '',
        ...table(
          ['BIND', 'BOUND', 'SINCE', 'GATEWAY', 'LAST ERROR'],
          binds.map((bind) => [
            String(bind.slot),
            bind.bound ? 'yes' : 'no',
            bind.since,
            bind.gateway ?? '',
            bind.last_error ?? '',
          ]),
        ),
        ...(alarms.length === 0
          ? []
          : [
              '',
              ...table(
                ['ALARM', 'SINCE', 'DETAIL'],
                alarms.map(({ name, since, detail }) => [name, since, detail]),
              ),
            ]),
      ],
      json: { connection },
    }
  },
}

const add: CliCommand = {
  name: 'connection add',
  summary: 'Add a connection to an aggregator; gateways bind to it immediately',
  names: ['<name>'],
  options: { ...withoutName, host: { ...fieldOptions.host, help: fieldOptions.host?.help ?? '', required: true } },
  notes: [...notes, 'With --enabled no you can test it before gateways bind to it.'],
  async run(context) {
    const [name = ''] = context.names
    const change = parseConnectionFields({ ...textsOf(context), name })
    const { host = '' } = change
    const row = await createConnection(
      { db: context.db, clock: context.clock, config: context.connectionConfig() },
      { ...change, name, host },
    )
    return outcome(context, row, `Added connection ${row.name} (${row.id})${row.enabled ? '' : ', disabled'}.`)
  },
}

const set: CliCommand = {
  name: 'connection set',
  summary: 'Change a connection, even while it sends texts',
  names: ['<name or id>'],
  options: { name: renamed ?? { help: '' }, ...withoutName },
  notes,
  async run(context) {
    const texts = textsOf(context)
    if (Object.keys(texts).length === 0)
      throw new UsageError('No change is given. See npm run carillon -- connection set --help')
    return change(context, texts, 'is changed')
  },
}

const enable: CliCommand = {
  name: 'connection enable',
  summary: 'Enable a connection, so that gateways bind to it',
  names: ['<name or id>'],
  run: (context) => change(context, { enabled: 'yes' }, 'is enabled'),
}

const disable: CliCommand = {
  name: 'connection disable',
  summary: 'Disable a connection: gateways finish their open texts and unbind',
  names: ['<name or id>'],
  run: (context) => change(context, { enabled: 'no' }, 'is disabled'),
}

const remove: CliCommand = {
  name: 'connection remove',
  summary: 'Remove a connection that has never sent a text',
  names: ['<name or id>'],
  async run(context) {
    const { id, name } = await resolveConnection(context)
    await removeConnection(context, id)
    return { lines: [`Removed connection ${name}.`], json: { removed: id } }
  },
}

const test: CliCommand = {
  name: 'connection test',
  summary: 'Test a connection from this machine (bind, enquire_link, unbind), and report the first problem',
  names: ['<name or id>'],
  notes: ['Opens its own bind in addition to the binds of the gateways. Sends no text.'],
  async run(context) {
    const row = await resolveConnection(context)
    const config = context.connectionConfig()
    const problem = problemOf(row, config)
    if (problem !== null) throw new OperatorError(problem)
    const ownBinds = (await listBindSlots(context.db, [row.id])).filter(({ bound }) => bound).length
    const result = await probe(openConnection(row, config), { ownBinds })
    return {
      lines: [
        ...result.steps.map(({ step, bind, ok, ms }) => `${ok ? 'ok    ' : 'failed'}  ${bind} ${step}, ${ms} ms`),
        result.error ?? `Connection ${row.name} works.`,
      ],
      json: { test: presentTest(result) },
    }
  },
}

export const connectionCommands: CliCommand[] = [list, show, add, set, enable, disable, test, remove]

/** Returns the connection with the id or name of the first argument; throws a 404 if it does not exist. */
export async function resolveConnection({ db, names }: Pick<CommandContext, 'db' | 'names'>): Promise<ConnectionRow> {
  const [text = ''] = names
  const row = /^\d{1,15}$/.test(text) ? await findConnection(db, Number(text)) : await findConnectionByName(db, text)
  if (!row) throw errors.connectionNotFound()
  return row
}

async function change(context: CommandContext, texts: Record<string, string>, done: string): Promise<CommandResult> {
  const { id } = await resolveConnection(context)
  const given = { db: context.db, clock: context.clock, config: context.connectionConfig() }
  const row = await changeConnection(given, id, parseConnectionFields(texts))
  return outcome(context, row, `Connection ${row.name} (${row.id}) ${done}.`)
}

async function outcome(context: CommandContext, row: ConnectionRow, line: string): Promise<CommandResult> {
  const problem = problemOf(row, context.connectionConfig())
  return {
    lines: [line, ...(problem ? [problem] : []), ...unknownCarriersOf(row)],
    json: { connection: await present(context, row) },
  }
}

/** Returns warnings for unknown carrier ids, which are either mistyped or ids that only the look-up provider uses. */
function unknownCarriersOf({ carrierMps }: ConnectionRow): string[] {
  return Object.keys(carrierMps)
    .filter((id) => carrierName(Number(id)) === undefined)
    .map(
      (id) =>
        `Carrier id ${id} is not in the table: its cap applies only to numbers for which the look-up returns that id.`,
    )
}

async function present(context: CommandContext, row: ConnectionRow) {
  const binds = await listBindSlots(context.db, [row.id])
  const alarms = await findAlarms(context.db, [row.id], context.clock.now())
  return presentConnection(row, { binds, alarms, problem: problemOf(row, context.connectionConfig()) }, 'UTC')
}

/** Returns the given options by field; for the option of a file, its content. */
function textsOf(context: CommandContext): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const field of Object.keys(connectionFields)) {
    const given = context.options[optionOf(field)]
    if (typeof given !== 'string') continue
    const isNone = given === 'none' && acceptsNone(field)
    texts[field] = fromFile[field] && !isNone ? readText(context, field, given) : given
  }
  return texts
}

/** Whether `none` means no value; for other fields it is a value or a file name. */
function acceptsNone(field: string): boolean {
  return [connectionFields[field]?.type].flat().includes('null')
}

function readText(context: CommandContext, field: string, file: string): string {
  try {
    const text = readFileSync(context.resolve(file), 'utf8')
    return field === 'password' ? text.replace(/\r?\n$/, '') : text
  } catch (error) {
    throw new OperatorError(`--${optionOf(field)} cannot be read: ${(error as Error).message}`)
  }
}

function addressOf({ host, port, tls }: ConnectionRow): string {
  if (host === null) return 'none yet'
  return `${tls ? 'smpps' : 'smpp'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function textOfValue(value: unknown): string {
  if (value === null) return 'none'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  // a certificate has many lines
  return typeof value === 'string' ? value.replace(/\n.*/s, ' ...') : JSON.stringify(value)
}
