import { startApi } from '../http/app.ts'
import { copyPlaces } from '../imports/imports.routes.ts'
import { runRole } from './role.ts'

await runRole(
  'api',
  async (rt) => {
    const { port, stop } = await startApi(rt)
    return { ready: { port }, stop }
  },
  // Two connections for each place of two accounts (http/account-places.ts), of which few requests use both: authentication and
  // heartbeats find one. Files are copied for minutes, so their connections are extra.
  ({ accountConcurrency }) => Math.max(10, 4 * accountConcurrency) + copyPlaces.total,
)
