import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Env, readConnectionSettings, readDataLocation } from '../config/config.ts'
import { systemClock } from '../lib/clock.ts'
import { accountCommands } from './accounts.commands.ts'
import { backupCommands } from './backup.commands.ts'
import { type CliCommand, UsageError } from './command.ts'
import { connectionCommands } from './connections.commands.ts'
import { helpOf, helpOfAll } from './help.ts'
import { installationCommands } from './installation.commands.ts'
import { keyCommands } from './keys.commands.ts'
import { openInstallation, secretKeyOf } from './open-installation.ts'
import { quietHoursCommands } from './quiet-hours.commands.ts'
import { rateCommands } from './rates.commands.ts'
import { shortCodeCommands } from './short-codes.commands.ts'

export const commands: readonly CliCommand[] = [
  ...accountCommands,
  ...keyCommands,
  ...shortCodeCommands,
  ...connectionCommands,
  ...rateCommands,
  ...quietHoursCommands,
  ...installationCommands,
  ...backupCommands,
]

export type Call = {
  args: readonly string[]
  env: Env
  /** Directory of relative paths. */
  cwd: string
}

/** Runs the command of the arguments and returns its output; throws UsageError or OperatorError. */
export async function runCli({ args, env, cwd }: Call): Promise<string> {
  const command = findCommand(args)
  if (!command) {
    const isHelp = args.every((arg) => ['--help', '-h', 'help', '--json'].includes(arg))
    if (isHelp) return helpOfAll(commands)
    throw new UsageError(`Unknown command: ${args.join(' ')}. See npm run carillon -- --help`)
  }
  const { options, names } = readArguments(command, args)
  if (options.help) return helpOf(command)
  checkArguments(command, options, names)
  const where = readDataLocation(env)
  const installation = await openInstallation(where, command.takes ?? 'any')
  try {
    const outcome = await command.run({
      ...installation.context,
      connectionConfig() {
        const { smpp, secretKey } = readConnectionSettings(env)
        return { mode: installation.context.mode, smpp, secretKey: secretKey ?? secretKeyOf(where) }
      },
      clock: systemClock,
      options,
      names,
      resolve: (path) => resolve(cwd, path),
    })
    return options.json ? JSON.stringify(outcome.json, null, 2) : outcome.lines.join('\n')
  } finally {
    await installation.close()
  }
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
    // the first sentence names the problem; the rest is advice for programmers
    const [problem = ''] = (error as Error).message.split('. ')
    throw new UsageError(`${problem}. See npm run carillon -- ${command.name} --help`)
  }
}

function checkArguments(command: CliCommand, options: Options, names: string[]) {
  const { name, names: wanted = [] } = command
  const missing = Object.entries(command.options ?? {}).find(([option, { required }]) => required && !options[option])
  if (missing) throw new UsageError(`--${missing[0]} is required. See npm run carillon -- ${name} --help`)
  if (names.length !== wanted.length) {
    throw new UsageError(`Usage: npm run carillon -- ${[name, ...wanted].join(' ')}. See --help`)
  }
}
