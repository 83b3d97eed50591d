import { createServer, type Server } from 'node:net'
import { runProcess } from '../../src/bin/role.ts'

// Replaces the simulator: listens on its two ports, also after a restart.
await runProcess('simulator', async ({ config }) => {
  const servers = [await listen(config.simulator.smppPort), await listen(config.simulator.controlPort)]
  const [smppPort, controlPort] = servers.map(portOf)
  return {
    ready: { smppPort, controlPort },
    async stop() {
      for (const server of servers) server.close()
    },
  }
})

async function listen(port: number): Promise<Server> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return server
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}
