import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import type { Db } from './db.ts'
import { keepAlive } from './pool.ts'

// NOTIFY makes work start immediately. Listeners also poll, because notices are lost while they are disconnected.

/** Kinds of work that a NOTIFY announces. */
export type Work = 'expansions' | 'chunks' | 'connections'

const channel = 'carillon_work'

/** Notifies the listeners of this kind of work when the transaction commits. */
export async function wake(tx: Db, work: Work): Promise<void> {
  await tx.exec('wake', /* sql */ `select pg_notify('${channel}', $1)`, [work])
}

/** Calls `onWork` for every notice, and for all kinds of work after each (re)connection, until the signal aborts. */
export function listenForWork(
  databaseUrl: string,
  log: Logger,
  signal: AbortSignal,
  onWork: (work: Work) => void,
): void {
  void (async () => {
    while (!signal.aborted) {
      const client = new pg.Client({ connectionString: databaseUrl, application_name: 'carillon listen', ...keepAlive })
      const { promise: disconnected, resolve } = Promise.withResolvers<void>()
      client.on('error', () => resolve())
      client.on('end', () => resolve())
      const abort = () => resolve()
      signal.addEventListener('abort', abort, { once: true })
      client.on('notification', (notice) => onWork(notice.payload as Work))
      try {
        await client.connect()
        await client.query(`listen ${channel}`)
        onWork('expansions')
        onWork('chunks')
        onWork('connections')
        await disconnected
      } catch (error) {
        log.debug({ err: error }, 'listening for work failed, retrying')
      }
      signal.removeEventListener('abort', abort)
      await client.end().catch(() => {})
      await delay(200, undefined, { signal }).catch(() => {})
    }
  })()
}
