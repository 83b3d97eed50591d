import type pg from 'pg'
import { waitFor } from '../../wait-for.ts'
import type { Installation } from '../installation.ts'

// Pauses the work on events between two of its steps, so that a test can kill a process exactly there. Triggers that the test installs
// make a transaction wait for an advisory lock of the test, before it changes a row or at its commit.

type Place = {
  table: string
  operation: 'insert' | 'update' | 'delete'
  /** Condition of the row; every row by default. */
  when?: string
  /** Whether the transaction waits at its commit; otherwise, it waits before it changes the row. */
  atCommit?: boolean
}

const isClaim = 'new.leased_by is not null and new.leased_by is distinct from old.leased_by'

/** The places at which a transaction can be paused, in the order of the steps of an event. */
export const places = {
  changeCommits: { table: 'opts', operation: 'insert', atCommit: true },
  messageReported: { table: 'event_outbox', operation: 'insert', when: "new.type = 'message_sent'" },
  messageReportCommits: {
    table: 'event_outbox',
    operation: 'insert',
    when: "new.type = 'message_sent'",
    atCommit: true,
  },
  resultReported: { table: 'event_outbox', operation: 'insert', when: "new.type = 'transactional_message_status'" },
  outboxTaken: { table: 'event_outbox', operation: 'delete' },
  eventNumbered: { table: 'events', operation: 'insert' },
  fanOut: { table: 'deliveries', operation: 'insert' },
  fanOutCommits: { table: 'deliveries', operation: 'insert', atCommit: true },
  claim: { table: 'endpoints', operation: 'update', when: isClaim },
  claimCommits: { table: 'endpoints', operation: 'update', when: isClaim, atCommit: true },
  mark: { table: 'deliveries', operation: 'delete' },
  markCommits: { table: 'deliveries', operation: 'delete', atCommit: true },
} satisfies Record<string, Place>

export type PlaceName = keyof typeof places

/** The first key of the advisory locks, which the product does not lock. */
const lockClass = 71_200

const lockOf = (place: PlaceName) => [lockClass, Object.keys(places).indexOf(place)]

/** Installs the triggers of all places; they wait for nothing until a test holds a place. */
export async function installPauses(client: pg.Client): Promise<void> {
  await client.query(/* sql */ `
    create function pause_for_test() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(tg_argv[0]::int, tg_argv[1]::int);
      return case when tg_op = 'DELETE' then old else new end;
    end $$`)
  for (const name of Object.keys(places) as PlaceName[]) {
    const { table, operation, when = 'true', atCommit = false }: Place = places[name]
    const start = atCommit ? `create constraint trigger pause_${name} after` : `create trigger pause_${name} before`
    await client.query(`${start} ${operation} on ${table} ${atCommit ? 'deferrable initially deferred' : ''}
                        for each row when (${when}) execute function pause_for_test(${lockOf(name).join(', ')})`)
  }
}

/** Sessions that wait, until they are released. */
export type Pause = {
  /** Waits until a session of the role waits. */
  reached(role: string): Promise<void>
  /** Lets the sessions continue. */
  release(): Promise<void>
  /**
   * Lets the sessions end whose clients were killed: with a rollback if `isRolledBack`, and otherwise after the statement that each
   * executes, which is the commit if it waits there.
   */
  finish(isRolledBack: boolean): Promise<void>
}

/** Makes all transactions wait that come to the place from now on. */
export async function pauseAt(installation: Installation, place: PlaceName): Promise<Pause> {
  const client = await installation.connect()
  const lock = lockOf(place)
  await client.query('select pg_advisory_lock($1, $2)', lock)
  const condition = `l.locktype = 'advisory' and l.classid = ${lock[0]} and l.objid = ${lock[1]}`
  return pauseOf(client, condition, 'select pg_advisory_unlock_all()')
}

/**
 * Makes workers wait after they have claimed an endpoint, before they read its deliveries. `claim` is a pause at `claimCommits`
 * that a worker has reached.
 */
export async function pauseAfterClaim(installation: Installation, claim: Pause): Promise<Pause> {
  const client = await installation.connect()
  await client.query('begin')
  await client.query('lock table deliveries in access exclusive mode')
  await claim.release()
  const condition = "l.relation = 'deliveries'::regclass and a.query like '/* list_due_deliveries */%'"
  return pauseOf(client, condition, 'rollback')
}

function pauseOf(client: pg.Client, condition: string, unlock: string): Pause {
  const query = async <T extends pg.QueryResultRow>(sql: string, params: unknown[] = []) => {
    // otherwise a transaction sees the sessions of its first query
    await client.query('select pg_stat_clear_snapshot()')
    return (await client.query<T>(sql, params)).rows
  }
  const sessions = () =>
    query<{ pid: number; role: string }>(
      `select l.pid, a.application_name as role from pg_locks l join pg_stat_activity a on a.pid = l.pid
        where not l.granted and a.pid <> pg_backend_pid() and ${condition}`,
    )
  const release = async () => {
    await client.query(unlock)
    await client.end()
  }
  return {
    async reached(role) {
      await waitFor(async () => (await sessions()).some((session) => session.role.startsWith(`carillon ${role}`)), {
        what: `a session of the ${role} to wait`,
      })
    },
    release: () => release().catch(() => {}), // a killed database has no locks any more
    async finish(isRolledBack) {
      const pids = (await sessions()).map(({ pid }) => pid)
      if (isRolledBack) await client.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [pids])
      else await client.query(unlock)
      const alive = 'select pid from pg_stat_activity where pid = any($1::int[])'
      await waitFor(async () => (await query(alive, [pids])).length === 0, { what: 'the sessions to end' })
      await release()
    },
  }
}
