import { raw, type Sql, sql } from '../db/sql.ts'
import { type State, type TransitionName, transitions } from './transitions.ts'

// The counters of a broadcast are spread over several counter rows, because its batches would otherwise wait for each
// other's commit: each database connection adds to one of the rows, and readers sum all of them in one snapshot (the
// view message_totals). A single row may be negative; the sums never are. Reading the backend's process id costs a
// statement nothing, and identifies the connection even behind a pooler, where the client does not know it.

/**
 * Counter rows of a broadcast. Other messages have one: there are many of them, and few batches update the same one.
 */
export const countersPerBroadcast = 16

/** The statement that inserts the counters, at zero, of the broadcasts of a CTE (id). */
export const insertBroadcastCounters = (cte: string) => sql`
  insert into message_counters (message_id, counter_row)
  select ${raw(cte)}.id, n from ${raw(cte)}, generate_series(0, ${raw(String(countersPerBroadcast - 1))}) as n
      on conflict do nothing`

/**
 * The statement that inserts one row of counters, at zero, for each message of a CTE (id): drafts and other messages.
 */
export const insertCounters = (cte: string) => sql`
  insert into message_counters (message_id, counter_row) select id, 0 from ${raw(cte)}`

/** A lateral relation with the sums of a message's counters; `offset 0` forces a look-up by message. */
export const totalsOf = (messageId: string) => sql`
  lateral (select * from message_totals where message_id = ${raw(messageId)} offset 0)`

/**
 * The statement that inserts the counters of the message of a CTE (id) whose recipients the same statement writes as
 * queued.
 */
export function insertCountersOfQueued(cte: string, recipients: number): Sql {
  return sql`
  insert into message_counters (message_id, counter_row, audience, ${raw(transitions.enqueue.to)})
  select id, 0, n, n from (select id, ${recipients}::bigint as n from ${raw(cte)}) message`
}

type ExtraCounter = 'clean_count' | 'unsubscribe_count'

/** The counter row of this database connection: the message's last row whose number is not above the connection's. */
const ownRow = (messageId: string) => /* sql */ `
  (select max(counter_row) from message_counters
    where message_id = ${messageId} and counter_row <= pg_backend_pid() % ${countersPerBroadcast})`

/**
 * Returns the statement that updates the counters for the rows that the same statement has moved by these transitions,
 * all from one state. `moved` is the CTE of these rows (message_id; also state, the new one, if there are several).
 * `also` maps further counters to the expression to add. Throws if the transitions start from different states.
 */
export function countMoves(
  names: TransitionName[],
  options: { moved?: string; also?: Partial<Record<ExtraCounter, string>> } = {},
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

/** Returns the statement that adds one to a counter of the messages of a CTE (message_id) for each of its rows. */
export function addToCounter(column: ExtraCounter, cte: string): Sql {
  return raw(/* sql */ `
      update message_counters c set ${column} = c.${column} + t.n
        from (select *, ${ownRow('g.message_id')} as counter_row
                from (select message_id, count(*) as n from ${cte} group by message_id order by message_id) g) t
       where c.message_id = t.message_id and c.counter_row = t.counter_row`)
}
