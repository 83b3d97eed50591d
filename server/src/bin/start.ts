import { ConfigError, readEnv } from '../config/config.ts'
import { loadEnvFileIfPresent } from '../config/environment.ts'
import { OperatorError } from '../errors.ts'
import { loggableError } from '../lib/loggable-error.ts'
import { printable } from '../lib/printable.ts'
import { supervise } from '../supervisor/supervisor.ts'
import { prepareDatabase } from './prepare.ts'

// The entry point of `npm start`: runs all processes on this machine, in the foreground.

// writing to a closed terminal fails, which must not prevent an orderly stop
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

try {
  loadEnvFileIfPresent()
  const config = readEnv(process.env)
  await supervise({ config, env: process.env, print: (line) => console.log(printable(line)), prepare: prepareDatabase })
  process.exit(0)
} catch (e) {
  const isExpected = e instanceof ConfigError || e instanceof OperatorError
  console.error(isExpected ? printable(`\n${e.message}\n`) : loggableError(e))
  process.exit(1)
}
