import { OperatorError } from '../errors.ts'
import { listSetAside, retryNow, type SetAside } from '../log/failures.queries.ts'
import { type CliCommand, table, UsageError } from './command.ts'

const setAside: CliCommand = {
  name: 'message set-aside',
  summary: 'List the messages with work that keeps failing, and the kind of its latest error',
  notes: ['The whole error is in the log of the worker, in the line with this message and sweep.'],
  async run({ db }) {
    const failures = await listSetAside(db)
    return {
      lines: table(
        ['MESSAGE', 'ACCOUNT', 'LIST', 'WORK', 'SINCE', 'FAILURES', 'ERROR', 'RETRY'],
        failures.map((failure) => [
          String(failure.messageId),
          String(failure.accountId),
          String(failure.listId ?? ''),
          failure.sweep,
          failure.since.toISOString(),
          String(failure.attempts),
          failure.error,
          failure.retryAt.toISOString(),
        ]),
      ),
      json: { messages: failures.map(present) },
    }
  },
}

const retry: CliCommand = {
  name: 'message retry',
  summary: 'Retry the failed work on a message now, or all work that is set aside',
  names: ['<id or all>'],
  async run({ db, clock, names: [given = ''] }) {
    if (given !== 'all' && !/^[1-9]\d{0,14}$/.test(given)) throw new UsageError(`Not the id of a message: ${given}`)
    const id = given === 'all' ? null : Number(given)
    const count = await retryNow(db, id, clock.now())
    if (count === 0 && id !== null) throw new OperatorError(`Message ${id} has no failed work.`)
    return { lines: [`Work that is retried now: ${count}.`], json: { retried: count } }
  },
}

const present = (failure: SetAside) => ({
  message_id: failure.messageId,
  account_id: failure.accountId,
  list_id: failure.listId,
  work: failure.sweep,
  since: failure.since,
  attempts: failure.attempts,
  error: failure.error,
  set_aside_at: failure.setAsideAt,
  retry_at: failure.retryAt,
})

export const messageCommands: CliCommand[] = [setAside, retry]
