import type { Db } from '../db/db.ts'

export type Mode = 'sandbox' | 'production'

/** The mode this database was made for, or undefined before its first start. */
export async function findMode(db: Db): Promise<Mode | undefined> {
  const row = await db.maybeOne<{ mode: Mode }>('find_mode', /* sql */ `select mode from installation`)
  return row?.mode
}

/** Remembers the mode of a new database, and answers the mode it has: the one it was first started in. */
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

/** Whether this is a restored copy, or was switched to another mode, and has not been told yet to send. */
export async function isSendingPaused(db: Db): Promise<boolean> {
  const row = await db.maybeOne<{ paused: boolean }>(
    'is_sending_paused',
    /* sql */ `select sending_paused as paused from installation`,
  )
  return row?.paused ?? false
}

/** From the commit on, no gateway takes up texts, or gateways do again. */
export function setSendingPaused(db: Db, paused: boolean) {
  return db.exec('set_sending_paused', /* sql */ `update installation set sending_paused = $1`, [paused])
}

export function setMode(db: Db, mode: Mode) {
  return db.exec('set_mode', /* sql */ `update installation set mode = $1`, [mode])
}
