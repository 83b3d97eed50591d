import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { useCli } from '../../test/cli.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { readEnv } from '../config/config.ts'
import { listConnections } from '../connections/connections.queries.ts'
import { loadConnections } from '../connections/connections.ts'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import { createServer } from '../smpp/server.ts'
import { runCli } from './cli.ts'

const secrets = { CARILLON_SECRET_KEY: 'ca'.repeat(32) }
const cli = useCli()

function run(args: string[], env: Record<string, string> = secrets): Promise<string> {
  return runCli({
    args,
    env: { DATABASE_URL: cli.database.url, CARILLON_DATA_DIR: cli.folder, ...env },
    cwd: cli.folder,
  })
}

// biome-ignore lint/suspicious/noExplicitAny: the JSON of any command
async function json(...args: string[]): Promise<any> {
  return JSON.parse(await run([...args, '--json']))
}

test('a connection is added, shown, changed, disabled and removed, with the field names of the API', async () => {
  writeFileSync(join(cli.folder, 'password'), 'swordfish\n')
  const options = ['--host', '127.0.0.1', '--password-file', 'password', '--system-id', 'cedar', '--enabled', 'no']
  expect(await run(['connection', 'add', 'Cedar SMS', ...options])).toBe('Added connection Cedar SMS (1), disabled.')
  const changes = ['--mps', '40', '--carrier-mps', '{"383": 20}', '--bind-type', 'pair', '--query-sm', 'yes']
  expect((await json('connection', 'set', 'Cedar SMS', ...changes)).connection).toMatchObject({
    ...{ name: 'Cedar SMS', host: '127.0.0.1', port: 2775, system_id: 'cedar', has_password: true, enabled: false },
    ...{ mps: 40, carrier_mps: { 383: 20 }, bind_type: 'pair', query_sm: true, problem: null },
  })
  expect((await json('connection', 'set', '1', '--mps', 'none', '--name', 'Cedar')).connection.mps).toBeNull()
  expect(await run(['connection', 'enable', 'Cedar'])).toBe('Connection Cedar (1) is enabled.')
  expect(await run(['connection', 'list'])).toMatch(/^1 +Cedar +smpp:\/\/127\.0\.0\.1:2775 +0 of 1 +no cap$/m)
  const shown = await run(['connection', 'show', 'Cedar'])
  expect(shown).toMatch(/^bind_type +pair$/m)
  expect(shown).toMatch(/^has_password +yes$/m)
  expect(shown).not.toContain('swordfish')
  const config = readEnv(secrets)
  expect((await loadConnections({ db: cli.database.db, config }))[0]?.password.reveal()).toBe('swordfish')
  await expect(run(['connection', 'remove', 'Cedar'])).rejects.toThrow('It is enabled; disable it first')
  expect(await run(['connection', 'disable', 'Cedar'])).toBe('Connection Cedar (1) is disabled.')
  expect(await run(['connection', 'remove', '1'])).toBe('Removed connection Cedar.')
  await expect(run(['connection', 'show', 'Cedar'])).rejects.toThrow('Connection not found')
})

test('certificates are read from files and returned unchanged', async () => {
  const authority = makeAuthority()
  const own = authority.issue('us')
  for (const [name, text] of Object.entries({ ca: authority.cert, ...own })) writeFileSync(join(cli.folder, name), text)
  const files = ['--tls', 'yes', '--tls-ca', 'ca', '--tls-certificate', 'cert', '--tls-key-file', 'key']
  const made = await json('connection', 'add', 'Cedar SMS', '--host', '127.0.0.1', ...files)
  expect(made.connection).toMatchObject({ tls: true, port: 3550, tls_ca: authority.cert, tls_certificate: own.cert })
  expect(made.connection.has_tls_key).toBe(true)
  expect(JSON.stringify(made)).not.toContain('PRIVATE')
  const other = makeAuthority().issue('them')
  writeFileSync(join(cli.folder, 'other'), other.cert)
  const set = (...args: string[]) => run(['connection', 'set', 'Cedar SMS', ...args])
  await expect(set('--tls-certificate', 'other')).rejects.toThrow('Tls certificate does not belong to the key')
  await expect(set('--tls-key-file', 'none')).rejects.toThrow('Tls key is required with tls_certificate')
  await expect(set('--tls-ca', 'key')).rejects.toThrow('Tls ca must not contain a private key')
  await expect(set('--tls-ca', 'nowhere')).rejects.toThrow('--tls-ca cannot be read')
  await set('--tls-certificate', 'none', '--tls-ca', 'none')
  expect((await json('connection', 'show', 'Cedar SMS')).connection).toMatchObject({
    ...{ tls_ca: null, tls_certificate: null, has_tls_key: false },
  })
})

test('an invalid value is rejected with the message of the API, and nothing changes', async () => {
  await make.connection(cli.database.db, { name: 'Cedar SMS' })
  const before = await listConnections(cli.database.db)
  for (const [option, value, message] of [
    ['--window', '0', 'Window must be greater than or equal to 1'],
    ['--window', 'ten', 'Window must be an integer'],
    ['--window', 'none', 'Window must be an integer'],
    ['--tls', 'maybe', 'Tls must be a boolean'],
    ['--bind-type', 'duplex', 'Bind type is not included in the list'],
    ['--carrier-mps', '383=20', 'Carrier mps must be JSON'],
    ['--host', 'smsc.cedar.example', 'Host must be this machine'],
    ['--host', '', "Host can't be blank"],
    ['--widow', '3', "Unknown option '--widow'"],
  ] as const) {
    await expect(run(['connection', 'set', 'Cedar SMS', option, value])).rejects.toThrow(message)
  }
  await expect(run(['connection', 'set', 'Cedar SMS'])).rejects.toThrow('No change is given')
  await expect(run(['connection', 'add', 'Other'])).rejects.toThrow('--host is required')
  await expect(run(['connection', 'add', 'Cedar SMS', '--host', '127.0.0.1'])).rejects.toThrow('has this name')
  expect(await listConnections(cli.database.db)).toEqual(before)
})

test('a password is not stored without a secret key, which is created in a data directory', async () => {
  writeFileSync(join(cli.folder, 'password'), 'swordfish')
  const add = ['connection', 'add', 'Cedar SMS', '--host', '127.0.0.1', '--password-file', 'password']
  await expect(run(add, {})).rejects.toThrow('no secret key is set. Set CARILLON_SECRET_KEY')
  expect(await listConnections(cli.database.db)).toEqual([])
  writeFileSync(join(cli.folder, 'carillon.json'), JSON.stringify({ product: 'carillon', format: 1, mode: 'sandbox' }))
  expect(await run(add, {})).toBe('Added connection Cedar SMS (1).')
  expect(await run(['connection', 'list'], {})).not.toContain('sealed')
  expect(await run(['connection', 'list'])).toContain('was sealed with another key')
})

test('none is a file name for a required field and no value for an optional field', async () => {
  writeFileSync(join(cli.folder, 'password'), 'swordfish')
  await run(['connection', 'add', 'Cedar SMS', '--host', '127.0.0.1', '--password-file', 'password'])
  const set = ['connection', 'set', 'Cedar SMS']
  await expect(run([...set, '--password-file', 'none'])).rejects.toThrow('--password-file cannot be read')
  expect((await json(...set, '--tls-ca', 'none', '--tls-key-file', 'none')).connection.has_tls_key).toBe(false)
  writeFileSync(join(cli.folder, 'none'), 'sturgeon')
  await run([...set, '--password-file', 'none'])
  const [connection] = await loadConnections({ db: cli.database.db, config: readEnv(secrets) })
  expect(connection?.password.reveal()).toBe('sturgeon')
})

test('a cap for an unknown carrier id gives a warning, and a system type may be long', async () => {
  const add = ['connection', 'add', 'Cedar SMS', '--host', '127.0.0.1', '--system-type', 'x'.repeat(32)]
  expect(await run([...add, '--carrier-mps', '{"383": 75, "99999": 75}'])).toBe(
    [
      'Added connection Cedar SMS (1).',
      'Carrier id 99999 is not in the table: its cap applies only to numbers for which the look-up returns that id.',
    ].join('\n'),
  )
  await expect(run(['connection', 'set', '1', '--system-type', 'x'.repeat(33)])).rejects.toThrow('System type')
  expect(await run(['connection', 'set', '1', '--carrier-mps', '{"383": 75}'])).not.toContain('table')
})

test('connection test reports each step', async () => {
  const server = createServer({
    onBind: (_, { password }) => ({
      command_status: password === 'swordfish' ? commandStatus.ESME_ROK : commandStatus.ESME_RINVPASWD,
    }),
    onSession: () => {},
  })
  const port = await server.listen(0, '127.0.0.1')
  try {
    await make.connection(cli.database.db, { name: 'Cedar SMS', port })
    expect(await run(['connection', 'test', 'Cedar SMS'])).toMatch(
      /^ok {4} {2}transceiver connect, \d+ ms\nfailed {2}transceiver bind, \d+ ms\nThe SMSC rejected the password of/,
    )
    writeFileSync(join(cli.folder, 'password'), 'swordfish')
    await run(['connection', 'set', 'Cedar SMS', '--password-file', 'password'])
    expect(await run(['connection', 'test', 'Cedar SMS'])).toMatch(/unbind, \d+ ms\nConnection Cedar SMS works\.$/)
    await cli.database.db.exec('set_host', `update connections set host = 'smsc.cedar.example'`)
    await expect(run(['connection', 'test', 'Cedar SMS'])).rejects.toThrow(
      'sandbox mode allows loopback addresses only',
    )
  } finally {
    await server.close()
  }
})

test('a short code gets sending routes and a cap', async () => {
  const { id } = await make.account(cli.database.db)
  await make.shortCode(cli.database.db, { accountId: id, code: '55555' })
  for (const name of ['Cedar SMS', 'Spare']) await make.connection(cli.database.db, { name })
  expect(await run(['short-code', 'route', '55555'])).toContain('uses the connections for all short codes')
  expect(await run(['short-code', 'route', '55555', '--through', 'Spare/1, Cedar SMS/0/3'])).toBe(
    ['55555 sends without its own cap.', 'CONNECTION  TIER  WEIGHT', 'Cedar SMS   0     3', 'Spare       1     1'].join(
      '\n',
    ),
  )
  expect(await json('short-code', 'set', '55555', '--mps', '30')).toMatchObject({ mps: 30, routes: [{}, {}] })
  for (const [args, message] of [
    [['--through', 'Elsewhere'], 'There is no connection Elsewhere'],
    [['--through', '9'.repeat(24)], 'There is no connection 9999'],
    [['--through', 'Spare/0/0'], 'The weight must be a number from 1 to 1000'],
    [['--through', 'Spare/0/1/2'], 'must be name/tier/weight'],
    [['--through', 'Spare,,'], 'must be name/tier/weight'],
    [['--through', 'Spare,Spare'], /Routes must not contain connection \d+ twice/],
    [['--through', 'Spare', '--all'], 'exclude each other'],
  ] as const) {
    await expect(run(['short-code', 'route', '55555', ...args])).rejects.toThrow(message)
  }
  await expect(run(['short-code', 'set', '55555', '--mps', '0'])).rejects.toThrow('--mps must be a whole number')
  await expect(run(['short-code', 'route', '55556'])).rejects.toThrow('Shortcode not found')
  expect(await json('short-code', 'route', '55555')).toMatchObject({ mps: 30, routes: [{}, {}] })
  expect(await json('short-code', 'route', '55555', '--all')).toMatchObject({ mps: 30, routes: [] })
  expect(await json('short-code', 'set', '55555', '--mps', 'none')).toMatchObject({ mps: null })
})

test('the first account is an operator, and other accounts can become operators', async () => {
  const made = async (email: string) =>
    (await json('account', 'create', '--email', email)).account as { id: number; is_operator: boolean }
  expect(await made('ana@cedar.example')).toMatchObject({ is_operator: true })
  const ben = await made('ben@cedar.example')
  expect(ben).toMatchObject({ is_operator: false })
  const operator = ['account', 'operator', '--account', 'ben@cedar.example']
  expect(await run(operator)).toBe(`Account ${ben.id} (ben@cedar.example) is an operator.`)
  expect(await run([...operator, '--off'])).toBe(`Account ${ben.id} (ben@cedar.example) is not an operator.`)
})

test('restore lists the connections whose secrets need the original key', async () => {
  writeFileSync(join(cli.folder, 'password'), 'swordfish')
  await run(['connection', 'add', 'Cedar SMS', '--host', '127.0.0.1', '--password-file', 'password'])
  await run(['backup', 'monday.backup'])
  const copy = await freshDatabase()
  try {
    const restore = async (env: Record<string, string>, ...more: string[]) => {
      for (const schema of ['public', 'pgboss']) {
        await copy.db.exec(`drop_${schema}`, `drop schema if exists ${schema} cascade`)
      }
      await copy.db.exec('create', 'create schema public')
      return run(['restore', 'monday.backup', ...more], { DATABASE_URL: copy.url, ...env })
    }
    await expect(restore({})).rejects.toThrow('there is no secret key to check its signature with. Copy secret.key')
    const unverified = await restore({}, '--unsigned')
    expect(unverified).toContain('The signature was NOT verified')
    expect(unverified).toContain('The secrets of Cedar SMS need the secret key of the original: copy its secret.key')
    expect(await restore(secrets, '--unsigned')).not.toContain('NOT verified')
    expect(await restore(secrets)).not.toContain('secret key')
    const [connection] = await loadConnections({ db: copy.db, config: readEnv(secrets) })
    expect(connection?.password.reveal()).toBe('swordfish')
  } finally {
    await copy.close()
  }
})
