import pg from 'pg'
import type { Logger } from 'pino'

// After a server has lost power or was moved, TCP retransmits a statement for 15 minutes, during which keep-alive probes are
// not sent. Statements have no deadline, because some take minutes. So connections that have been in use for some time are
// checked: a new connection reads whether the server has backends for them.

/** A backend may be younger than its connection by the time of connecting, which is always less than this. */
const maxConnectMs = 5_000
const responseMs = 5_000

const checkAfterMs = 15_000

/**
 * Ends the connections of a pool that have been in use for `afterMs` and have no backend on the server that now has the
 * address. Never ends a connection with a backend, and ends none while the server does not respond.
 */
export function endLostConnections(pool: pg.Pool, databaseUrl: string, log: Logger, afterMs = checkAfterMs): void {
  const connectedAt = new WeakMap<pg.PoolClient, number>()
  const inUseSince = new Map<pg.PoolClient, number>()
  pool.on('connect', (client) => connectedAt.set(client, performance.now()))
  pool.on('acquire', (client) => inUseSince.set(client, performance.now()))
  pool.on('release', (_error, client) => inUseSince.delete(client))
  pool.on('remove', (client) => inUseSince.delete(client))
  let isChecking = false
  const check = async () => {
    const now = performance.now()
    const clients = [...inUseSince].filter(([, since]) => now - since >= afterMs).map(([client]) => client)
    if (clients.length === 0 || isChecking) return
    isChecking = true
    try {
      const ages = await agesOfBackends(databaseUrl, clients.map(processIdOf))
      for (const client of ages === undefined ? [] : clients) {
        const age = ages?.get(processIdOf(client)) ?? Number.NEGATIVE_INFINITY
        const connectionAge = now - (connectedAt.get(client) ?? now)
        if (age >= connectionAge - maxConnectMs || !inUseSince.has(client)) continue
        log.warn({ backend: processIdOf(client) }, 'connection has no backend any more, ending it')
        streamOf(client).destroy()
      }
    } catch (error) {
      log.debug({ err: error }, 'failed to read the backends of our connections')
    } finally {
      isChecking = false
    }
  }
  const timer = setInterval(() => (pool.ended ? clearInterval(timer) : void check()), afterMs / 3)
  timer.unref()
}

/**
 * Returns the ages in ms of those of the backends that exist; undefined if the ids cannot be compared: on a standby, and
 * behind a pooler, which has its own ids.
 */
async function agesOfBackends(databaseUrl: string, ids: number[]): Promise<Map<number, number> | undefined> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'carillon check',
    connectionTimeoutMillis: responseMs,
    query_timeout: responseMs,
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
    streamOf(client).destroy() // `end` would wait for another response of the server
  }
}

type Inner = { processID: number; connection: { stream: { destroy(): void } } }

const inner = (client: pg.ClientBase) => client as unknown as Inner
const processIdOf = (client: pg.ClientBase) => inner(client).processID
const streamOf = (client: pg.ClientBase) => inner(client).connection.stream
