import { ConfigError, readEnv } from '../config/config.ts'
import { loadEnvFileIfPresent } from '../config/env-file.ts'
import { OperatorError } from '../errors.ts'
import { supervise } from '../supervisor/supervisor.ts'
import { prepareDatabase } from './prepare.ts'

// What `npm start` runs: everything on this machine, in the foreground.

// A closed terminal must not keep us from stopping in order.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

try {
  loadEnvFileIfPresent()
  const config = readEnv(process.env)
  await supervise({ config, env: process.env, print: (line) => console.log(line), prepare: prepareDatabase })
  process.exit(0)
} catch (e) {
  const foreseen = e instanceof ConfigError || e instanceof OperatorError
  console.error(foreseen ? `\n${e.message}\n` : e)
  process.exit(1)
}
