import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'
import { readEnv } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
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
  if (!config.smpp) throw new Error('the test needs an address')
  return ensureEnvironmentConnection({ db: database.db, config }, config.smpp)
}

const load = (config = configOf()) => loadConnections({ db: database.db, config })

/** Seals a password into a row, as another process would. */
async function setPassword(id: number, password: string, config = configOf()) {
  const sealer = makeSealer(config)
  if (!sealer) throw new Error('the test needs a key')
  await database.db.exec('set_password', 'update connections set password = $2 where id = $1', [
    id,
    sealSecret(sealer, 'password', new Secret(password)),
  ])
}

test('the connection of the environment is there once, whoever was first, and its password is sealed', async () => {
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

test('the address names what it changes; what an operator has set besides stays', async () => {
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

test('given up, it is one like any other and sends nothing; set again, it comes back', async () => {
  const id = await ensure()
  expect(await releaseEnvironment(database.db)).toBe(true)
  expect(await releaseEnvironment(database.db)).toBe(false)
  expect((await load())[0]).toMatchObject({ id, fromEnvironment: false, enabled: false, version: 3 })
  expect(await ensure()).toBe(id)
  expect((await load())[0]).toMatchObject({ id, fromEnvironment: true, enabled: true, version: 4 })
  // what an operator has disabled stays so
  await database.db.exec('disable', 'update connections set enabled = false')
  await ensure(configOf(`${url}?window=3`))
  expect((await load())[0]).toMatchObject({ window: 3, enabled: false })
})

test('starts of gateways take no ids, of which there are few', async () => {
  for (let n = 0; n < 5; n += 1) await ensure()
  expect(await make.connection(database.db)).toMatchObject({ id: 2 })
})

test('gateways are woken by a change, and by nothing else', async () => {
  const listener = new pg.Client({ connectionString: database.url })
  await listener.connect()
  const heard: string[] = []
  listener.on('notification', ({ payload }) => heard.push(payload ?? ''))
  await listener.query('listen carillon_work')
  await ensure()
  await ensure()
  await database.db.exec('after', `select pg_notify('carillon_work', 'after')`)
  await waitFor(() => heard.includes('after'))
  await listener.end()
  expect(heard).toEqual(['connections', 'after'])
})

test('a process without a key, or with another one, knows the password of its own environment only', async () => {
  const bare = configOf(url, {})
  await ensure(bare)
  expect((await load(bare))[0]?.password.reveal()).toBe('swordfish')
  const { smpp, ...blind } = configOf()
  expect(smpp).toBeDefined()
  await expect(loadConnections({ db: database.db, config: { ...blind, smpp: undefined } })).rejects.toThrow(
    'The password of connection default is in CARILLON_SMPP_URL, which is not set here.',
  )
  await ensure()
  const other = configOf(url, { CARILLON_SECRET_KEY: randomBytes(32).toString('hex') })
  expect((await load(other))[0]?.password.reveal()).toBe('swordfish')
  await ensure(other)
  expect((await load(other))[0]?.password.reveal()).toBe('swordfish')
})

test('what does not open is said in words, and keeps nobody else from sending', async () => {
  await ensure()
  const { id } = await make.connection(database.db, { name: 'Cedar SMS' })
  await setPassword(id, 'sturgeon')
  expect((await load()).map(({ password }) => password.reveal())).toEqual(['swordfish', 'sturgeon'])
  const without = configOf(url, {})
  const words =
    'The password of connection Cedar SMS is sealed, and there is no key. Give this process CARILLON_SECRET_KEY'
  await expect(load(without)).rejects.toThrow(words)
  const told: string[] = []
  const usable = await loadConnections({ db: database.db, config: without }, (row, why) =>
    told.push(`${row.id} ${why}`),
  )
  expect(usable.map(({ name }) => name)).toEqual(['default'])
  expect(told).toEqual([expect.stringContaining(`${id} ${words}`)])
  const other = configOf(url, { CARILLON_SECRET_KEY: randomBytes(32).toString('hex') })
  await expect(load(other)).rejects.toThrow('The password of connection Cedar SMS was sealed with another key.')
})

test('a gateway without a key does not start where there is something to open', async () => {
  const needKey = (config: ReturnType<typeof configOf>) => requireSecretKey({ db: database.db, config })
  const { id } = await make.connection(database.db, { name: 'Cedar SMS' })
  await ensure()
  await needKey(configOf(url, {}))
  await setPassword(id, 'sturgeon')
  await needKey(configOf())
  await expect(needKey(configOf(url, {}))).rejects.toThrow(
    'CARILLON_SECRET_KEY is needed: secrets of connections are sealed (Cedar SMS). Give this process CARILLON_SECRET_KEY',
  )
  await database.db.exec('disable', 'update connections set enabled = false where id = $1', [id])
  await needKey(configOf(url, {}))
})

test('the sandbox never leaves this machine, and a row without an address is none yet', async () => {
  await make.connection(database.db, { name: 'away', host: 'smsc.cedar.example' })
  await make.connection(database.db, { name: 'nowhere', host: null })
  await make.connection(database.db, { name: 'here', host: '127.0.0.2' })
  const names = async (config: Parameters<typeof load>[0]) => (await load(config)).map(({ name }) => name)
  expect(await names(configOf())).toEqual(['here'])
  const production = configOf(url, { CARILLON_MODE: 'production', CARILLON_SECRET_KEY: key })
  expect(await names(production)).toEqual(['away', 'here'])
})
