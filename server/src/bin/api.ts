import { startApi } from '../http/app.ts'
import { runRole } from './role.ts'

await runRole('api', async (rt) => {
  const { port, stop } = await startApi(rt)
  return { ready: { port }, stop }
})
