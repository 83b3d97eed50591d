import { readFileSync } from 'node:fs'
import { carrierName } from '../carriers/carriers.ts'
import { changeConnection, createConnection, removeConnection } from '../connections/changes.ts'
import {
  type ConnectionRow,
  findConnection,
  findConnectionByName,
  listBindSlots,
  listConnections,
} from '../connections/connections.queries.ts'
import {
  connectionFields,
  parseConnectionFields,
  presentConnection,
  presentTest,
} from '../connections/connections.schema.ts'
import { openConnection, problemOf } from '../connections/connections.ts'
import { probe } from '../connections/probe.ts'
import { errors, OperatorError } from '../errors.ts'
import { type CliCommand, type CommandContext, type CommandResult, type Option, table, UsageError } from './command.ts'

/** Secrets come from files, for a command line is seen by everybody on the machine; certificates are files anyway. */
const fromFile: Record<string, string> = {
  password: 'password-file',
  tls_key: 'tls-key-file',
  tls_ca: 'tls-ca',
  tls_certificate: 'tls-certificate',
}

const optionOf = (field: string) => fromFile[field] ?? field.replaceAll('_', '-')

const fieldOptions: Record<string, Option> = Object.fromEntries(
  Object.entries(connectionFields).map(([field, { type, enum: words, description }]) => {
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
    const help = [description, ...(words ? [`One of: ${words.join(', ')}.`] : [])].join(' ')
    return [optionOf(field), { value, help: help.replace(/\bnull\b/g, 'none').replace(/\.$/, '') }]
  }),
)

const { name: renamed, ...withoutName } = fieldOptions
const notes = ['Where none is allowed it is typed so: --mps none. What a connection keeps of a file is its text.']

const list: CliCommand = {
  name: 'connection list',
  summary: 'List the connections and how their binds are',
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
  summary: 'Show all of a connection but its secrets',
  names: ['<name or id>'],
  async run(context) {
    const connection = await present(context, await resolveConnection(context))
    const { binds, ...settings } = connection
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
      ],
      json: { connection },
    }
  },
}

const add: CliCommand = {
  name: 'connection add',
  summary: 'Make a connection to a carrier; gateways bind to it at once',
  names: ['<name>'],
  options: { ...withoutName, host: { ...fieldOptions.host, help: fieldOptions.host?.help ?? '', required: true } },
  notes: [...notes, 'With --enabled no it can be tested before anybody binds to it for good.'],
  async run(context) {
    const [name = ''] = context.names
    const change = parseConnectionFields({ ...textsOf(context), name })
    const { host = '' } = change
    const row = await createConnection(
      { db: context.db, config: context.connectionConfig() },
      { ...change, name, host },
    )
    return outcome(context, row, `Connection ${row.name} (${row.id}) is there${row.enabled ? '' : ', disabled'}.`)
  },
}

const set: CliCommand = {
  name: 'connection set',
  summary: 'Change a connection, also while texts go out',
  names: ['<name or id>'],
  options: { name: renamed ?? { help: '' }, ...withoutName },
  notes,
  async run(context) {
    const texts = textsOf(context)
    if (Object.keys(texts).length === 0) throw new UsageError('Say what to change: connection set --help')
    return change(context, texts, 'is changed')
  },
}

const enable: CliCommand = {
  name: 'connection enable',
  summary: 'Let gateways bind to a connection',
  names: ['<name or id>'],
  run: (context) => change(context, { enabled: 'yes' }, 'is enabled'),
}

const disable: CliCommand = {
  name: 'connection disable',
  summary: 'Let gateways finish what is on its way, and unbind',
  names: ['<name or id>'],
  run: (context) => change(context, { enabled: 'no' }, 'is disabled'),
}

const remove: CliCommand = {
  name: 'connection remove',
  summary: 'Remove a connection that has never carried anything',
  names: ['<name or id>'],
  async run(context) {
    const { id, name } = await resolveConnection(context)
    await removeConnection(context, id)
    return { lines: [`Connection ${name} is gone.`], json: { removed: id } }
  },
}

const test: CliCommand = {
  name: 'connection test',
  summary: 'Bind, enquire and unbind from here, and say why not',
  names: ['<name or id>'],
  notes: ['With a bind of its own, beside those of the gateways. Nothing is sent.'],
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
        result.why ?? `Connection ${row.name} works.`,
      ],
      json: { test: presentTest(result) },
    }
  },
}

export const connectionCommands: CliCommand[] = [list, show, add, set, enable, disable, test, remove]

/** The connection that a command names, by id or name. */
export async function resolveConnection({ db, names }: Pick<CommandContext, 'db' | 'names'>): Promise<ConnectionRow> {
  const [text = ''] = names
  const row = /^\d{1,15}$/.test(text) ? await findConnection(db, Number(text)) : await findConnectionByName(db, text)
  if (!row) throw errors.connectionNotFound()
  return row
}

async function change(context: CommandContext, texts: Record<string, string>, what: string): Promise<CommandResult> {
  const { id } = await resolveConnection(context)
  const given = { db: context.db, config: context.connectionConfig() }
  const row = await changeConnection(given, id, parseConnectionFields(texts))
  return outcome(context, row, `Connection ${row.name} (${row.id}) ${what}.`)
}

async function outcome(context: CommandContext, row: ConnectionRow, line: string): Promise<CommandResult> {
  const problem = problemOf(row, context.connectionConfig())
  return {
    lines: [line, ...(problem ? [problem] : []), ...strangersOf(row)],
    json: { connection: await present(context, row) },
  }
}

/** A mistyped carrier would be no cap, and nobody would know; yet a look-up may have ids of its own. */
function strangersOf({ carrierMps }: ConnectionRow): string[] {
  return Object.keys(carrierMps)
    .filter((id) => carrierName(Number(id)) === undefined)
    .map(
      (id) =>
        `No carrier of the table has the id ${id}: its cap holds only for numbers of which the look-up says that id.`,
    )
}

async function present(context: CommandContext, row: ConnectionRow) {
  const binds = await listBindSlots(context.db, [row.id])
  return presentConnection(row, { binds, problem: problemOf(row, context.connectionConfig()) }, 'UTC')
}

/** What was given, by field; of an option that names a file, the file's text. */
function textsOf(context: CommandContext): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const field of Object.keys(connectionFields)) {
    const given = context.options[optionOf(field)]
    if (typeof given !== 'string') continue
    const isNone = given === 'none' && takesNone(field)
    texts[field] = fromFile[field] && !isNone ? readText(context, field, given) : given
  }
  return texts
}

/** Only what may be left out can be `none`; a password is in a file, whatever that is called. */
function takesNone(field: string): boolean {
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
  // a certificate takes many lines
  return typeof value === 'string' ? value.replace(/\n.*/s, ' ...') : JSON.stringify(value)
}
