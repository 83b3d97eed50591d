import { startApi } from '../http/app.ts'
import { runRole } from './role.ts'

await runRole(
  'api',
  async (rt) => {
    const { port, stop } = await startApi(rt)
    return { ready: { port }, stop }
  },
  // two connections for each place, and as many for uploads, authentication and heartbeats
  ({ accountConcurrency }) => Math.max(10, 4 * accountConcurrency),
)
