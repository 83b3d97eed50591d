import { runCli } from '../cli/cli.ts'
import { UsageError } from '../cli/command.ts'
import { ConfigError } from '../config/config.ts'
import { loadEnvFileIfPresent } from '../config/env-file.ts'
import { AppError, OperatorError } from '../errors.ts'

// What `npm run carillon -- <command>` runs. Code 2 says that the command line was wrong, 1 that it could not be done.
try {
  loadEnvFileIfPresent()
  // npm runs us in the checkout and keeps the place where the operator is
  const cwd = process.env.INIT_CWD ?? process.cwd()
  console.log(await runCli({ args: process.argv.slice(2), env: process.env, cwd }))
} catch (error) {
  const isForeseen = [UsageError, OperatorError, ConfigError, AppError].some((kind) => error instanceof kind)
  console.error(isForeseen ? (error as Error).message : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
