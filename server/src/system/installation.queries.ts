import type { Db } from '../db/db.ts'

export type Mode = 'sandbox' | 'production'

/** Returns the mode of this database; undefined before its first start. */
export async function findMode(db: Db): Promise<Mode | undefined> {
  const row = await db.maybeOne<{ mode: Mode }>('find_mode', /* sql */ `select mode from installation`)
  return row?.mode
}

/** Stores the mode if the database has none, and returns the mode of the database. */
export async function ensureMode(db: Db, mode: Mode): Promise<Mode> {
  const row = await db.one<{ mode: Mode }>(
    'ensure_mode',
    /* sql */ `
    insert into installation (mode) values ($1)
        on conflict (only_row) do update set mode = installation.mode
    returning mode`,
    [mode],
  )
  return row.mode
}

/** Returns whether sending is paused, as it is after a restore or a mode switch until an operator resumes it. */
export async function isSendingPaused(db: Db): Promise<boolean> {
  const row = await db.maybeOne<{ paused: boolean }>(
    'is_sending_paused',
    /* sql */ `select sending_paused as paused from installation`,
  )
  return row?.paused ?? false
}

/** Pauses or resumes sending for all gateways; takes effect with the commit. */
export function setSendingPaused(db: Db, paused: boolean) {
  return db.exec('set_sending_paused', /* sql */ `update installation set sending_paused = $1`, [paused])
}

export function setMode(db: Db, mode: Mode) {
  return db.exec('set_mode', /* sql */ `update installation set mode = $1`, [mode])
}
