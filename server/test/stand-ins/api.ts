import { createServer } from 'node:http'
import { runRole } from '../../src/bin/role.ts'

// Replaces the api role in tests of the supervisor: listens on the port and queries the database per request.
await runRole('api', async ({ config, db }) => {
  const server = createServer(async (_request, response) => {
    try {
      await db.one('check_database', 'select 1 as one')
      response.end('ok')
    } catch {
      response.writeHead(503).end()
    }
  })
  const { port, host } = config.http
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  return {
    ready: { port },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
})
