import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { openAuditLog } from '../cli/audit-log.ts'
import { runCli } from '../cli/cli.ts'
import { UsageError } from '../cli/command.ts'
import { ConfigError } from '../config/config.ts'
import { loadEnvFileIfPresent } from '../config/environment.ts'
import { AppError, OperatorError } from '../errors.ts'
import { loggableError } from '../lib/loggable-error.ts'
import { printable } from '../lib/printable.ts'

// The entry point of `npm run carillon -- <command>`. Exit code 2 means an invalid command line, 1 a failed command.
try {
  loadEnvFileIfPresent()
  // npm changes to the checkout; INIT_CWD is the directory in which the operator called it
  const cwd = process.env.INIT_CWD ?? process.cwd()
  const args = process.argv.slice(2)
  const log = openAuditLog(process.env)
  const readInput = () => readFileSync(0, 'utf8')
  const onFailure = () => {
    process.exitCode = 1
  }
  const output = await runCli({ args, env: process.env, cwd, log, readInput, print: console.log, onStop, onFailure })
  if (output !== '') console.log(output)
} catch (error) {
  const isExpected = [UsageError, OperatorError, ConfigError, AppError].some((kind) => error instanceof kind)
  console.error(isExpected ? printable((error as Error).message) : printable(inspect(loggableError(error))))
  process.exitCode = error instanceof UsageError ? 2 : 1
}

/** Returns a signal that aborts on Ctrl-C or SIGTERM, or when nobody reads the output any more, as after `| head`. */
function onStop(): AbortSignal {
  const stopped = new AbortController()
  const stop = () => stopped.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  process.stdout.on('error', stop)
  return stopped.signal
}
