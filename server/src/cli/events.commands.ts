import { OperatorError } from '../errors.ts'
import {
  deleteEventSetAside,
  type EventSetAside,
  listEventsSetAside,
  returnEvents,
} from '../events/set-aside.queries.ts'
import { type CliCommand, table, UsageError } from './command.ts'

/** Number of events that one statement returns. */
const batchSize = 5_000

const setAside: CliCommand = {
  name: 'events set-aside',
  summary: 'List the events for webhooks and the feed that could not be numbered, and the kind of their latest error',
  notes: ['The whole error of the first failure is in the log of the worker, in the line with this event.'],
  async run({ db }) {
    const events = await listEventsSetAside(db)
    return {
      lines: table(
        ['EVENT', 'ACCOUNT', 'LIST', 'TYPE', 'OCCURRED', 'FAILURES', 'ERROR', 'RETRY'],
        events.map((event) => [
          String(event.id),
          String(event.accountId),
          String(event.listId ?? ''),
          event.type,
          event.occurredAt.toISOString(),
          String(event.failures),
          event.error,
          event.retryAt.toISOString(),
        ]),
      ),
      json: { events: events.map(present) },
    }
  },
}

const retry: CliCommand = {
  name: 'events retry',
  summary: 'Retry an event that is set aside now, or all of them',
  names: ['<id or all>'],
  async run({ db, clock, names: [given = ''] }) {
    const id = given === 'all' ? undefined : readId(given)
    // not those that fail again meanwhile
    const which = id === undefined ? { setAsideBy: clock.now() } : { id }
    let count = 0
    for (let returned = batchSize; returned === batchSize; count += returned) {
      returned = await returnEvents(db, which, batchSize)
    }
    if (count === 0 && id !== undefined) throw new OperatorError(`Event ${id} is not set aside.`)
    return { lines: [`Events that are retried now: ${count}.`], json: { retried: count } }
  },
}

const remove: CliCommand = {
  name: 'events remove',
  summary: 'Delete an event that is set aside; nobody receives it',
  names: ['<id>'],
  async run({ db, names: [given = ''] }) {
    const id = readId(given)
    if (!(await deleteEventSetAside(db, id))) throw new OperatorError(`Event ${id} is not set aside.`)
    return { lines: [`Event ${id} is deleted.`], json: { removed: id } }
  },
}

function readId(given: string): number {
  if (!/^[1-9]\d{0,14}$/.test(given)) throw new UsageError(`Not the id of an event: ${given}`)
  return Number(given)
}

const present = (event: EventSetAside) => ({
  event_id: event.id,
  account_id: event.accountId,
  list_id: event.listId,
  type: event.type,
  occurred_at: event.occurredAt,
  failures: event.failures,
  error: event.error,
  retry_at: event.retryAt,
})

export const eventCommands: CliCommand[] = [setAside, retry, remove]
