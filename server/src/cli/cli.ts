import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Logger } from 'pino'
import { type Env, readConnectionSettings, readDataLocation, readFileSettings } from '../config/config.ts'
import { fileStoreOf } from '../files/installed-store.ts'
import { systemClock } from '../lib/clock.ts'
import { printable, printableLine } from '../lib/printable.ts'
import { accountCommands } from './accounts.commands.ts'
import { backupCommands } from './backup.commands.ts'
import { type CliCommand, UsageError } from './command.ts'
import { connectionCommands } from './connections.commands.ts'
import { eventCommands } from './events.commands.ts'
import { helpOf, helpOfAll } from './help.ts'
import { installationCommands } from './installation.commands.ts'
import { keyCommands } from './keys.commands.ts'
import { logCommands } from './log.commands.ts'
import { messageCommands } from './messages.commands.ts'
import { findSecretKeyOf, openInstallation, secretKeyOf } from './open-installation.ts'
import { quietHoursCommands } from './quiet-hours.commands.ts'
import { rateCommands } from './rates.commands.ts'
import { reconcileCommands } from './reconcile.commands.ts'
import { shortCodeCommands } from './short-codes.commands.ts'
import { userCommands } from './users.commands.ts'
import { webhookCommands } from './webhooks.commands.ts'

export const commands: readonly CliCommand[] = [
  ...accountCommands,
  ...userCommands,
  ...keyCommands,
  ...shortCodeCommands,
  ...connectionCommands,
  ...rateCommands,
  ...quietHoursCommands,
  ...messageCommands,
  ...logCommands,
  ...reconcileCommands,
  ...webhookCommands,
  ...eventCommands,
  ...installationCommands,
  ...backupCommands,
]

export type Call = {
  args: readonly string[]
  env: Env
  /** Directory that relative paths refer to. */
  cwd: string
  /** Reads standard input. */
  readInput?: () => string
  /** Prints a line while a command runs. */
  print?: (line: string) => void
  /** Returns a signal that aborts when the operator stops a command that runs until then. */
  onStop?: () => AbortSignal
  /** Called if the exit code is to be 1 and the output is printed all the same. */
  onFailure?: () => void
  /** Records what operators do. */
  log?: Logger
}

/** Runs the command that the arguments name and returns its output; throws UsageError or OperatorError if it fails. */
export async function runCli(call: Call): Promise<string> {
  const { args, env, cwd, readInput = () => '', print = () => {}, onStop, onFailure, log } = call
  const command = findCommand(args)
  if (!command) {
    const isHelp = args.every((arg) => ['--help', '-h', 'help', '--json'].includes(arg))
    if (isHelp) return helpOfAll(commands)
    throw new UsageError(`Unknown command: ${args.join(' ')}. See npm run carillon -- --help`)
  }
  const { options, names } = readArguments(command, args)
  if (options.help) return helpOf(command)
  checkArguments(command, options, names)
  const location = readDataLocation(env)
  const installation = await openInstallation(location, command.requires ?? 'any')
  try {
    const result = await command.run({
      ...installation.context,
      connectionConfig() {
        const { smpp, secretKey } = readConnectionSettings(env)
        return { mode: installation.context.mode, smpp, secretKey: secretKey ?? secretKeyOf(location) }
      },
      fileStore: () => fileStoreOf(readFileSettings(env)),
      findSecretKey: () => readConnectionSettings(env).secretKey ?? findSecretKeyOf(location),
      clock: systemClock,
      options,
      names,
      resolve: (path) => resolve(cwd, path),
      readInput,
      print: (line) => print(printableLine(line)),
      untilStopped(seconds) {
        const signals = [onStop?.(), seconds === undefined ? undefined : AbortSignal.timeout(seconds * 1_000)]
        return AbortSignal.any(signals.filter((signal) => signal !== undefined))
      },
    })
    log?.info({ command: command.name, ...subjectOf(options, names) }, 'command completed')
    if (result.hasFailed) onFailure?.()
    if (result.json === undefined) return ''
    return options.json ? printable(JSON.stringify(result.json, null, 2)) : result.lines.map(printableLine).join('\n')
  } catch (error) {
    log?.info({ command: command.name, ...subjectOf(options, names), err: error }, 'command failed')
    throw error
  } finally {
    await installation.close()
  }
}

/** Returns what a command was called for; other options may be secret. */
function subjectOf({ account, email, role, name }: Options, names: readonly string[]) {
  return { account, email, role, name, names: names.length > 0 ? names : undefined }
}

function findCommand(args: readonly string[]): CliCommand | undefined {
  return commands.find(({ name }) => name.split(' ').every((word, i) => args[i] === word))
}

type Options = Record<string, string | boolean | undefined>

function readArguments(command: CliCommand, args: readonly string[]): { options: Options; names: string[] } {
  const known = Object.entries(command.options ?? {}).map(
    ([name, { value }]) => [name, { type: value ? ('string' as const) : ('boolean' as const) }] as const,
  )
  try {
    const { values, positionals } = parseArgs({
      args: args.slice(command.name.split(' ').length),
      options: {
        ...Object.fromEntries(known),
        json: { type: 'boolean' as const },
        help: { type: 'boolean' as const, short: 'h' },
      },
      allowPositionals: true,
    })
    return { options: values as Options, names: positionals }
  } catch (error) {
    // the first sentence is the problem; the others are for programmers
    const [problem = ''] = (error as Error).message.split('. ')
    throw new UsageError(`${problem}. See npm run carillon -- ${command.name} --help`)
  }
}

function checkArguments(command: CliCommand, options: Options, names: string[]) {
  const { name, names: required = [] } = command
  const missing = Object.entries(command.options ?? {}).find(
    ([option, { required: isRequired }]) => isRequired && !options[option],
  )
  if (missing) throw new UsageError(`--${missing[0]} is required. See npm run carillon -- ${name} --help`)
  if (names.length !== required.length) {
    throw new UsageError(`Usage: npm run carillon -- ${[name, ...required].join(' ')}. See --help`)
  }
}
