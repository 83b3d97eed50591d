import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { pino } from 'pino'
import { afterEach, beforeEach, test } from 'vitest'
import { waitFor } from '../../test/wait-for.ts'
import { makePool } from './pool.ts'
import { listenForWork } from './wake.ts'

const log = pino({ level: 'silent' })

let server: Server
let sockets: Socket[]
beforeEach(async () => {
  sockets = []
  server = createServer((socket) => sockets.push(socket.resume()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  server.close()
})

/** Returns the number of connections to a port on which the kernel sends keep-alive probes. */
function probed(port: number): number {
  const keepAliveTimer = '02'
  const [, ...lines] = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n')
  return lines.filter((line) => {
    const [, , remote = '', , , timer = ''] = line.trim().split(/\s+/)
    return Number.parseInt(remote.split(':')[1] ?? '', 16) === port && timer.startsWith(keepAliveTimer)
  }).length
}

test.skipIf(process.platform !== 'linux')('keep-alive probes a silent server', async () => {
  const { port } = server.address() as AddressInfo
  const url = `postgresql://somebody@127.0.0.1:${port}/somewhere`
  const pool = makePool(url, log)
  const connecting = pool.connect().catch(() => {})
  await waitFor(() => probed(port) === 1, { what: 'a probed connection of the pool' })
  const stopped = new AbortController()
  listenForWork(url, log, stopped.signal, () => {})
  await waitFor(() => probed(port) === 2, { what: 'a probed connection of the listener' })
  stopped.abort()
  for (const socket of sockets) socket.destroy()
  await connecting
  await pool.end()
})
