import pg from 'pg'

/**
 * Returns the distinct kinds of work that were announced (see db/wake.ts) while `action` ran, sorted. PostgreSQL
 * delivers notices in commit order, so the notice `end` arrives last.
 */
export async function noticesDuring(databaseUrl: string, action: () => Promise<unknown>): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const notices = new Set<string>()
    const { promise: end, resolve } = Promise.withResolvers<void>()
    client.on('notification', ({ payload = '' }) => (payload === 'end' ? resolve() : notices.add(payload)))
    await client.query('listen carillon_work')
    await action()
    await client.query(`select pg_notify('carillon_work', 'end')`)
    await end
    return [...notices].sort()
  } finally {
    await client.end()
  }
}
