import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import pg from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { waitFor } from '../../test/wait-for.ts'
import { endLostConnections } from './lost-servers.ts'
import { isDatabaseUnavailable } from './pg-errors.ts'

const log = pino({ level: 'silent' })

let server: Server
let pool: pg.Pool
let pairs: { near: Socket; far: Socket }[]
/** Disconnects all connections from their server without notifying this end. */
let disconnectSilently: () => void

beforeEach(async () => {
  pairs = []
  const cluster = new URL(inject('clusterUrl'))
  const folder = cluster.searchParams.get('host') ?? decodeURIComponent(cluster.hostname)
  const port = cluster.searchParams.get('port') ?? (cluster.port || '5432')
  const target = folder.startsWith('/') ? { path: `${folder}/.s.PGSQL.${port}` } : { host: folder, port: Number(port) }
  server = createServer((near) => {
    const far = connect(target)
    pairs.push({ near, far })
    near.on('data', (bytes) => far.write(bytes)).on('error', () => {})
    far.on('data', (bytes) => near.write(bytes)).on('error', () => {})
    near.on('close', () => far.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  disconnectSilently = () => {
    for (const { near, far } of pairs) {
      near.removeAllListeners('data').resume()
      far.destroy()
    }
  }
  const { port: own } = server.address() as AddressInfo
  const url = `postgresql://${cluster.username}:${cluster.password}@127.0.0.1:${own}${cluster.pathname}`
  pool = new pg.Pool({ connectionString: url, max: 2 })
  pool.on('error', () => {})
  endLostConnections(pool, url, log, 300)
})

afterEach(async () => {
  await pool.end()
  server.close()
})

test('a statement without a backend fails, and the next statement reaches the new server', async () => {
  await pool.query('select 1')
  disconnectSilently()
  const fault = await pool.query('select 2').catch((error) => error)
  expect(isDatabaseUnavailable(fault)).toBe(true)
  expect((await pool.query('select 3 as n')).rows).toEqual([{ n: 3 }])
})

test('a statement with a backend has no time limit', async () => {
  // its backend is checked more than once while the statement waits for a lock
  const isCheckedAgain = async () => {
    const before = pairs.length
    await waitFor(() => pairs.length >= before + 3, { what: 'three checks' })
  }
  const other = new pg.Client({ connectionString: inject('clusterUrl') })
  await other.connect()
  await other.query('select pg_advisory_lock(74120)')
  const waiting = pool.query('select 4 as n, pg_advisory_xact_lock(74120)')
  await isCheckedAgain()
  await other.end()
  expect((await waiting).rows[0]).toMatchObject({ n: 4 })
  const client = await pool.connect()
  await client.query('begin')
  await isCheckedAgain()
  expect((await client.query('select 5 as n')).rows).toEqual([{ n: 5 }])
  client.release()
})
