import type pg from 'pg'
import { waitFor } from '../wait-for.ts'
import type { Installation } from './installation.ts'

// Pauses work between two of its steps, so that a test can kill a process exactly there. Triggers that the test installs make a
// transaction wait for an advisory lock of the test, before it changes a row or at its commit.

/** A place at which a transaction can be paused. */
export type Place = {
  table: string
  operation: 'insert' | 'update' | 'delete'
  /** Condition of the row; every row by default. */
  when?: string
  /** Whether the transaction waits at its commit; otherwise, it waits before it changes the row. */
  atCommit?: boolean
}

/** The places of a test, by name. */
export type Places = Record<string, Place>

/** The first key of the advisory locks, which the product does not lock. */
const lockClass = 71_200

const lockOf = (places: Places, name: string) => [lockClass, Object.keys(places).indexOf(name)]

/** Installs the triggers of all places; they wait for nothing until a test holds a place. */
export async function installPauses(client: pg.Client, places: Places): Promise<void> {
  await client.query(/* sql */ `
    create function pause_for_test() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(tg_argv[0]::int, tg_argv[1]::int);
      return case when tg_op = 'DELETE' then old else new end;
    end $$`)
  for (const [name, { table, operation, when = 'true', atCommit = false }] of Object.entries(places)) {
    const start = atCommit ? `create constraint trigger pause_${name} after` : `create trigger pause_${name} before`
    await client.query(`${start} ${operation} on ${table} ${atCommit ? 'deferrable initially deferred' : ''}
                        for each row when (${when}) execute function pause_for_test(${lockOf(places, name).join(', ')})`)
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
export async function pauseAt(installation: Installation, places: Places, name: string): Promise<Pause> {
  const client = await installation.connect()
  const lock = lockOf(places, name)
  await client.query('select pg_advisory_lock($1, $2)', lock)
  const condition = `l.locktype = 'advisory' and l.classid = ${lock[0]} and l.objid = ${lock[1]}`
  return pauseOf(client, condition, 'select pg_advisory_unlock_all()')
}

/** Returns the sessions whose requests for locks match `condition`, and which `unlock` releases; ends `client` with them. */
export function pauseOf(client: pg.Client, condition: string, unlock: string): Pause {
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
