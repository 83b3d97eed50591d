import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'
import { readEnv } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import { systemClock } from '../lib/clock.ts'
import { listConnections } from './connections.queries.ts'
import { loadConnections, requireSecretKey } from './connections.ts'
import { ensureEnvironmentConnection, releaseEnvironment } from './environment.ts'
import { makeSealer, sealSecret } from './secrets.ts'

let database: TestDatabase
const key = randomBytes(32).toString('hex')

beforeEach(async () => {
  database = await freshDatabase()
})

afterEach(() => database.close())

const url = 'smpp://carillon:swordfish@127.0.0.1:2775'

function configOf(smppUrl = url, env: Record<string, string> = { CARILLON_SECRET_KEY: key }) {
  return readEnv({ CARILLON_SMPP_URL: smppUrl, ...env })
}

function ensure(config = configOf()) {
  if (!config.smpp) throw new Error('CARILLON_SMPP_URL is not set')
  return ensureEnvironmentConnection({ db: database.db, clock: systemClock, config }, config.smpp)
}

const load = (config = configOf()) => loadConnections({ db: database.db, config })

/** Stores a sealed password in a row. */
async function setPassword(id: number, password: string, config = configOf()) {
  const sealer = makeSealer(config)
  if (!sealer) throw new Error('CARILLON_SECRET_KEY is not set')
  await database.db.exec('set_password', 'update connections set password = $2 where id = $1', [
    id,
    sealSecret(sealer, 'password', new Secret(password)),
  ])
}

test('concurrent starts create the connection of CARILLON_SMPP_URL once, with a sealed password', async () => {
  const ids = await Promise.all(Array.from({ length: 6 }, () => ensure()))
  expect(new Set(ids).size).toBe(1)
  const [row, ...others] = await listConnections(database.db)
  expect(others).toEqual([])
  expect(row).toMatchObject({ name: 'default', fromEnvironment: true, servesAll: true, enabled: true, version: 2 })
  expect(row?.password?.includes('swordfish')).toBe(false)
  const [connection] = await load()
  expect(connection).toMatchObject({ host: '127.0.0.1', port: 2775, tls: false, systemId: 'carillon', window: 10 })
  expect(connection).toMatchObject({ slots: 1, mps: null, bindType: 'transceiver', errorMap: {}, carrierMps: {} })
  expect(connection?.password.reveal()).toBe('swordfish')
  expect(JSON.stringify(connection)).not.toContain('swordfish')
})

test('a start updates only the settings of the URL, and does not change the settings of operators', async () => {
  await ensure(configOf(`${url}?window=25`))
  await database.db.exec('operator', `update connections set mps = 7, slots = 3, charset = 'latin1'`)
  const version = async () => (await listConnections(database.db))[0]?.version
  const before = await version()
  await ensure(configOf(`${url}?window=25`))
  expect(await version()).toBe(before)
  for (const changed of [
    'smpp://carillon:swordfish@127.0.0.1:2776?window=25',
    'smpp://carillon:sturgeon@127.0.0.1:2776?window=25',
    'smpp://other:sturgeon@127.0.0.1:2776?window=25',
    'smpps://other:sturgeon@127.0.0.1:2776?window=25',
    'smpps://other:sturgeon@localhost:2776?window=25',
    'smpps://other:sturgeon@localhost:2776?window=26',
  ]) {
    const last = (await version()) ?? 0
    await ensure(configOf(changed))
    expect(await version(), changed).toBe(last + 1)
    expect((await load(configOf(changed)))[0]).toMatchObject({ mps: 7, slots: 3, charset: 'latin1' })
  }
  await ensure(configOf(`${url}?mps=9&binds=2`))
  expect((await load())[0]).toMatchObject({ window: 26, mps: 9, slots: 2 })
})

test('the connection of CARILLON_SMPP_URL is disabled if the variable is not set, and enabled if it is set again', async () => {
  const id = await ensure()
  expect(await releaseEnvironment({ db: database.db, clock: systemClock })).toBe(true)
  expect(await releaseEnvironment({ db: database.db, clock: systemClock })).toBe(false)
  expect((await load())[0]).toMatchObject({ id, fromEnvironment: false, enabled: false, version: 3 })
  expect(await ensure()).toBe(id)
  expect((await load())[0]).toMatchObject({ id, fromEnvironment: true, enabled: true, version: 4 })
  // a connection that an operator has disabled is not enabled
  await database.db.exec('disable', 'update connections set enabled = false')
  await ensure(configOf(`${url}?window=3`))
  expect((await load())[0]).toMatchObject({ window: 3, enabled: false })
})

test('starts of gateways do not use up connection ids', async () => {
  for (let n = 0; n < 5; n += 1) await ensure()
  expect(await make.connection(database.db)).toMatchObject({ id: 2 })
})

test('only a change wakes the gateways', async () => {
  const listener = new pg.Client({ connectionString: database.url })
  await listener.connect()
  const payloads: string[] = []
  listener.on('notification', ({ payload }) => payloads.push(payload ?? ''))
  await listener.query('listen carillon_work')
  await ensure()
  await ensure()
  await database.db.exec('after', `select pg_notify('carillon_work', 'after')`)
  await waitFor(() => payloads.includes('after'))
  await listener.end()
  expect(payloads).toEqual(['connections', 'after'])
})

test('a process without the right secret key reads only the password of its own CARILLON_SMPP_URL', async () => {
  const withoutKey = configOf(url, {})
  await ensure(withoutKey)
  expect((await load(withoutKey))[0]?.password.reveal()).toBe('swordfish')
  const { smpp, ...withoutUrl } = configOf()
  expect(smpp).toBeDefined()
  await expect(loadConnections({ db: database.db, config: { ...withoutUrl, smpp: undefined } })).rejects.toThrow(
    'The password of connection default is in CARILLON_SMPP_URL, which is not set for this process.',
  )
  await ensure()
  const other = configOf(url, { CARILLON_SECRET_KEY: randomBytes(32).toString('hex') })
  expect((await load(other))[0]?.password.reveal()).toBe('swordfish')
  await ensure(other)
  expect((await load(other))[0]?.password.reveal()).toBe('swordfish')
})

test('loading reports an unreadable secret and returns the other connections', async () => {
  await ensure()
  const { id } = await make.connection(database.db, { name: 'Cedar SMS' })
  await setPassword(id, 'sturgeon')
  expect((await load()).map(({ password }) => password.reveal())).toEqual(['swordfish', 'sturgeon'])
  const without = configOf(url, {})
  const reason =
    'The password of connection Cedar SMS is sealed, and this process has no secret key. Set CARILLON_SECRET_KEY'
  await expect(load(without)).rejects.toThrow(reason)
  const reported: string[] = []
  const usable = await loadConnections({ db: database.db, config: without }, (row, unusableReason) =>
    reported.push(`${row.id} ${unusableReason}`),
  )
  expect(usable.map(({ name }) => name)).toEqual(['default'])
  expect(reported).toEqual([expect.stringContaining(`${id} ${reason}`)])
  const other = configOf(url, { CARILLON_SECRET_KEY: randomBytes(32).toString('hex') })
  await expect(load(other)).rejects.toThrow('The password of connection Cedar SMS was sealed with another key.')
})

test('requireSecretKey throws without a key if an enabled connection has a sealed secret', async () => {
  const requireKey = (config: ReturnType<typeof configOf>) => requireSecretKey({ db: database.db, config })
  const { id } = await make.connection(database.db, { name: 'Cedar SMS' })
  await ensure()
  await requireKey(configOf(url, {}))
  await setPassword(id, 'sturgeon')
  await requireKey(configOf())
  await expect(requireKey(configOf(url, {}))).rejects.toThrow(
    'CARILLON_SECRET_KEY is required: secrets of connections are sealed (Cedar SMS). Set CARILLON_SECRET_KEY',
  )
  await database.db.exec('disable', 'update connections set enabled = false where id = $1', [id])
  await requireKey(configOf(url, {}))
})

test('loading in sandbox mode returns only connections to this machine, and in no mode one without an address', async () => {
  await make.connection(database.db, { name: 'remote', host: 'smsc.cedar.example' })
  await make.connection(database.db, { name: 'no address', host: null })
  await make.connection(database.db, { name: 'local', host: '127.0.0.2' })
  const names = async (config: Parameters<typeof load>[0]) => (await load(config)).map(({ name }) => name)
  expect(await names(configOf())).toEqual(['local'])
  const production = configOf(url, { CARILLON_MODE: 'production', CARILLON_SECRET_KEY: key })
  expect(await names(production)).toEqual(['remote', 'local'])
})
