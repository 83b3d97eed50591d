import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const latencyMs = 50

/** Starts a look-up service that takes 50 ms for each number; `close` stops it. */
export async function startNumberService(): Promise<{ url: string; close(): void }> {
  const server = createServer((req, res) => {
    req.resume()
    setTimeout(() => res.end('{"line_type":"mobile","carrier":77}'), latencyMs)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${port}/`, close }
}
