import { poolDb } from '../db/db.ts'
import { idleTransactionTimeout, makePool } from '../db/pool.ts'
import { lowConnections } from '../http/account-places.ts'
import { startApi } from '../http/app.ts'
import { copyPlaces } from '../imports/imports.routes.ts'
import { runRole } from './role.ts'

await runRole(
  'api',
  async (rt) => {
    const lowPool = makePool(rt.databaseUrl, rt.log, {
      max: lowConnections,
      name: 'carillon api low',
      isBackground: true,
      settings: idleTransactionTimeout(rt.config.send.leaseMs),
    })
    const { port, stop } = await startApi({ ...rt, lowDb: poolDb(lowPool) })
    return {
      ready: { port },
      async stop() {
        await stop()
        await lowPool.end()
      },
    }
  },
  // Two connections for each place of two accounts (http/account-places.ts), of which few requests use both: authentication and
  // heartbeats find one. Files are copied for minutes, so their connections are extra.
  ({ accountConcurrency }) => Math.max(10, 4 * accountConcurrency) + copyPlaces.total,
)
