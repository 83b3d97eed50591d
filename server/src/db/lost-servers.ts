import pg from 'pg'
import type { Logger } from 'pino'

// A statement that went out to a server which had just lost power, or was moved, is sent again and again by TCP, for a
// quarter of an hour, and keep-alive says nothing of it. No statement has a deadline here, for some take minutes; but of
// one that takes long a new connection can tell whether anybody works on it.

/** A backend is younger than our connection to it by what the connecting took, never by so much. */
const slackMs = 5_000
const answerMs = 5_000

export const longMs = 15_000

/**
 * Ends the connections of a pool that have been in use for long and have no backend any more on the server that the
 * address leads to now. One that is at work is left alone however long it takes, and so are all while nobody can tell.
 */
export function endLostConnections(pool: pg.Pool, databaseUrl: string, log: Logger, afterMs = longMs): void {
  const connectedAt = new WeakMap<pg.PoolClient, number>()
  const inUseSince = new Map<pg.PoolClient, number>()
  pool.on('connect', (client) => connectedAt.set(client, performance.now()))
  pool.on('acquire', (client) => inUseSince.set(client, performance.now()))
  pool.on('release', (_error, client) => inUseSince.delete(client))
  pool.on('remove', (client) => inUseSince.delete(client))
  let isLooking = false
  const look = async () => {
    const now = performance.now()
    const long = [...inUseSince].filter(([, since]) => now - since >= afterMs).map(([client]) => client)
    if (long.length === 0 || isLooking) return
    isLooking = true
    try {
      const ages = await agesOfBackends(databaseUrl, long.map(processIdOf))
      for (const client of ages === undefined ? [] : long) {
        const age = ages?.get(processIdOf(client)) ?? Number.NEGATIVE_INFINITY
        const ourAge = now - (connectedAt.get(client) ?? now)
        if (age >= ourAge - slackMs || !inUseSince.has(client)) continue
        log.warn({ backend: processIdOf(client) }, 'the database knows nothing of a connection; it is ended')
        streamOf(client).destroy()
      }
    } catch (error) {
      log.debug({ err: error }, 'could not find out whether the database knows our connections')
    } finally {
      isLooking = false
    }
  }
  const timer = setInterval(() => (pool.ended ? clearInterval(timer) : void look()), afterMs / 3)
  timer.unref()
}

/**
 * How old in ms those of these backends are that live; undefined where that tells nothing: on a stand-by, and behind a
 * pooler, whose ids are not the server's.
 */
async function agesOfBackends(databaseUrl: string, ids: number[]): Promise<Map<number, number> | undefined> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'carillon look',
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
  })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query<{ pid: number; age: number; own: number | null }>(
      `select pid, (extract(epoch from clock_timestamp() - backend_start) * 1000)::float8 as age,
              case when not pg_is_in_recovery() then pg_backend_pid() end as own
         from pg_stat_activity where pid = any($1::integer[]) or pid = pg_backend_pid()`,
      [ids],
    )
    if (rows[0]?.own !== processIdOf(client)) return undefined
    return new Map(rows.map(({ pid, age }) => [pid, age]))
  } finally {
    streamOf(client).destroy() // to take leave would be to wait for the server once more
  }
}

type Inner = { processID: number; connection: { stream: { destroy(): void } } }

const inner = (client: pg.ClientBase) => client as unknown as Inner
const processIdOf = (client: pg.ClientBase) => inner(client).processID
const streamOf = (client: pg.ClientBase) => inner(client).connection.stream
