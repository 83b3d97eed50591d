import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import type { Db } from './db.ts'
import { keepAlive } from './pool.ts'

// NOTIFY makes work start at once; whoever listens polls as well, because a notice is lost while it is away.

/** What there is work of. */
export type Work = 'expansions' | 'chunks' | 'connections'

const channel = 'carillon_work'

/** Wakes those who do this work when the transaction commits. */
export async function wake(tx: Db, work: Work): Promise<void> {
  await tx.exec('wake', /* sql */ `select pg_notify('${channel}', $1)`, [work])
}

/** Calls `onWork` at every notice, and after every reconnection once for all kinds; stops at the signal. */
export function listenForWork(
  databaseUrl: string,
  log: Logger,
  signal: AbortSignal,
  onWork: (work: Work) => void,
): void {
  void (async () => {
    while (!signal.aborted) {
      const client = new pg.Client({ connectionString: databaseUrl, application_name: 'carillon listen', ...keepAlive })
      const { promise: gone, resolve } = Promise.withResolvers<void>()
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
        await gone
      } catch (error) {
        log.debug({ err: error }, 'could not listen for work')
      }
      signal.removeEventListener('abort', abort)
      await client.end().catch(() => {})
      await delay(200, undefined, { signal }).catch(() => {})
    }
  })()
}
