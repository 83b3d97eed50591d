import type { CliCommand } from './command.ts'

const call = 'npm run carillon --'

/** Returns the list of commands, one line each. */
export function helpOfAll(commands: readonly CliCommand[]): string {
  const rows = commands.map((command) => [signature(command), command.summary] as const)
  const width = Math.max(...rows.map(([left]) => left.length))
  return [
    `${call} <command> [options]`,
    '',
    'Commands for operators of an installation, running or stopped. They use the database of DATABASE_URL, or the embedded',
    'one in CARILLON_DATA_DIR; both settings may be in .env.',
    '',
    ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
    '',
    'Options of every command:',
    '  --help  print its help',
    '  --json  print JSON (use npm run --silent carillon -- ..., which suppresses the output of npm)',
  ].join('\n')
}

/** Returns the help of one command, with its options. */
export function helpOf(command: CliCommand): string {
  const options = Object.entries(command.options ?? {}).map(
    ([name, { value, help, required }]) =>
      [`--${name}${value ? ` <${value}>` : ''}`, `${help}${required ? ' (required)' : ''}`] as const,
  )
  const all = [...options, ['--json', 'Print JSON'] as const]
  const width = Math.max(...all.map(([left]) => left.length))
  return [
    `${call} ${signature(command)}${options.length > 0 ? ' [options]' : ''}`,
    '',
    `${command.summary}.`,
    '',
    ...all.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
    ...(command.notes ? ['', ...command.notes] : []),
  ].join('\n')
}

function signature({ name, names = [] }: CliCommand): string {
  return [name, ...names].join(' ')
}
