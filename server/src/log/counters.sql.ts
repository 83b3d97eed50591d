import { raw, type Sql, sql } from '../db/sql.ts'
import { type State, type TransitionName, transitions } from './transitions.ts'

// The counters of a broadcast are spread over several counter rows, because the batches of one broadcast would otherwise
// wait for each other's commit: each database connection adds to one of the rows, and readers sum all of them in one
// snapshot (the view message_totals). A single row may be negative; the sums never are. The backend's process id is known
// to the statement at no cost, and is right behind a pooler too, where the client cannot know its connection.

/** Counter rows of a broadcast. Other messages have one: they are many, and few batches touch one of them at a time. */
export const countersPerBroadcast = 16

/** Inserts the counters, at zero, of the broadcasts of a CTE (id). */
export const insertBroadcastCounters = (cte: string) => sql`
  insert into message_counters (message_id, counter_row)
  select ${raw(cte)}.id, n from ${raw(cte)}, generate_series(0, ${raw(String(countersPerBroadcast - 1))}) as n
      on conflict do nothing`

/** Inserts the counters, at zero, of messages of a CTE (id) that are not on their way as broadcasts. */
export const insertCounters = (cte: string) => sql`
  insert into message_counters (message_id, counter_row) select id, 0 from ${raw(cte)}`

/** The sums of a message's counters as a lateral relation; `offset` makes the planner look them up by the message. */
export const totalsOf = (messageId: string) => sql`
  lateral (select * from message_totals where message_id = ${raw(messageId)} offset 0)`

/** Inserts the counters of a message of a CTE (id) whose recipients are written, as queued, by the same statement. */
export function insertCountersOfQueued(cte: string, recipients: number): Sql {
  return sql`
  insert into message_counters (message_id, counter_row, audience, ${raw(transitions.enqueue.to)})
  select id, 0, n, n from (select id, ${recipients}::bigint as n from ${raw(cte)}) message`
}

type Extra = 'clean_count' | 'unsubscribe_count'

/** The row of this connection among those that the message has: the last one up to its number. */
const ownRow = (messageId: string) => /* sql */ `
  (select max(counter_row) from message_counters
    where message_id = ${messageId} and counter_row <= pg_backend_pid() % ${countersPerBroadcast})`

/**
 * The statement that counts the rows which a statement has moved by these transitions, all from the same state: `moved` is
 * its CTE (message_id, and state, the new one, where there are several). The rows and their counters change in one statement.
 */
export function countMoves(
  names: TransitionName[],
  options: { moved?: string; also?: Partial<Record<Extra, string>> } = {},
): Sql {
  const moves = names.map((name) => transitions[name])
  const [first] = moves
  if (first === undefined || moves.some((move) => move.from !== first.from)) {
    throw new Error(`transitions of one statement must have one origin: ${names}`)
  }
  const targets = [...new Set(moves.map((move): State => move.to))]
  const number = (state: State) => (targets.length === 1 ? 'n' : `n_${state}`)
  const counts = targets.length === 1 ? [] : targets.map((to) => `count(*) filter (where state = '${to}') as n_${to}`)
  const extras = Object.entries(options.also ?? {})
  const changes = [
    first.from === null ? 'audience = c.audience + t.n' : `${first.from} = c.${first.from} - t.n`,
    ...targets.map((state) => `${state} = c.${state} + t.${number(state)}`),
    ...extras.map(([column]) => `${column} = c.${column} + t.${column}`),
  ]
  const columns = ['message_id', 'count(*) as n', ...counts, ...extras.map(([column, sql]) => `${sql} as ${column}`)]
  return raw(/* sql */ `
      update message_counters c set ${changes.join(', ')}
        from (select *, ${ownRow('g.message_id')} as counter_row
                from (select ${columns.join(', ')} from ${options.moved ?? 'moved'} as moved
                       group by message_id order by message_id) g) t
       where c.message_id = t.message_id and c.counter_row = t.counter_row`)
}

/** The statement that adds to one counter of the messages of a CTE (message_id), once for each of its rows. */
export function countMore(column: Extra, cte: string): Sql {
  return raw(/* sql */ `
      update message_counters c set ${column} = c.${column} + t.n
        from (select *, ${ownRow('g.message_id')} as counter_row
                from (select message_id, count(*) as n from ${cte} group by message_id order by message_id) g) t
       where c.message_id = t.message_id and c.counter_row = t.counter_row`)
}
