import type { Db } from '../db/db.ts'
import { detachedLog, detachedName } from './log-days.ts'

// Removes a day from the log while texts are sent. A partition is detached in a way that locks nothing that a statement needs
// (`concurrently`): it waits for the transactions that use the log, and gives up after the lock timeout of its session. What it has begun
// by then (`pending`) is finished by the next attempt. A detached table gets another name, so that statements that name the day find
// no table: from then on its rows cannot change.
//
// The statements contain names of tables, so they are not prepared.

/** How long a change of tables waits for others, which wait behind it meanwhile. */
export const removalSettings = { lock_timeout: '1s' }

type Tables = { parent: string; name: string }

const tablesOf = (day: string): Tables[] =>
  ['message_log', 'submits'].map((parent) => ({ parent, name: `${parent}_${day.replaceAll('-', '')}` }))

const run = (db: Db, statement: string) => db.withClient((client) => client.query(statement))

/**
 * Detaches the tables of a day from the log; `db` must have the `removalSettings`, and no transaction. Throws an error that
 * `isTableInUse` recognizes if a transaction that uses the log lasts for too long; repeatable.
 */
export async function detachDay(db: Db, day: string): Promise<void> {
  for (const { parent, name } of tablesOf(day)) {
    const found = await db.maybeOne<{ isPending: boolean }>(
      'find_partition',
      /* sql */ `
      select i.inhdetachpending as "isPending"
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = $1::regclass and c.relname = $2`,
      [parent, name],
    )
    if (found)
      await run(db, `alter table ${parent} detach partition ${name} ${found.isPending ? 'finalize' : 'concurrently'}`)
  }
}

/** Gives the detached tables of a day names that no statement of others contains. Repeatable. */
export async function renameDay(tx: Db, day: string): Promise<void> {
  for (const { name } of tablesOf(day)) await run(tx, `alter table if exists ${name} rename to ${detachedName(name)}`)
}

/** Makes detached tables partitions again: those of a day whose rows differ from its archive. */
export async function reattachDay(tx: Db, day: string): Promise<void> {
  for (const { parent, name } of tablesOf(day)) {
    await run(tx, `alter table ${detachedName(name)} rename to ${name}`)
    // detaching has left a check of the day, with which this does not read the table
    await run(tx, `alter table ${parent} attach partition ${name} for values from ('${day}') to (date '${day}' + 1)`)
  }
}

/** Drops the detached tables of a day. Repeatable. */
export async function dropDay(tx: Db, day: string): Promise<void> {
  for (const { name } of tablesOf(day)) await run(tx, `drop table if exists ${detachedName(name)}`)
}

/** Returns whether the log rows of a day are in a detached table. */
export async function isDayDetached(db: Db, day: string): Promise<boolean> {
  const { isDetached } = await db.one<{ isDetached: boolean }>(
    'is_day_detached',
    /* sql */ `select to_regclass($1) is not null as "isDetached"`,
    [detachedLog(day)],
  )
  return isDetached
}

// an arbitrary number that no other code locks
const removalLock = 5_460_081

/** Returns whether days may be removed until the transaction ends; false while a backup reads the tables by their names. */
export async function lockRemoval(tx: Db): Promise<boolean> {
  const { isLocked } = await tx.one<{ isLocked: boolean }>(
    'lock_removal_of_days',
    /* sql */ `select pg_try_advisory_xact_lock($1) as "isLocked"`,
    [removalLock],
  )
  return isLocked
}

/** The statement that prevents the removal of days until its session ends. */
export const preventRemoval = /* sql */ `select pg_advisory_lock_shared(${removalLock})`
