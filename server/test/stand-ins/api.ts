import { createServer } from 'node:http'
import { runRole } from '../../src/bin/role.ts'

// Stands in for the api role where a test is about the supervisor: it holds the port and can ask the database.
await runRole('api', async ({ config, db }) => {
  const server = createServer(async (_request, response) => {
    try {
      await db.one('answer', 'select 1 as answer')
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
