import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { basic, readResponse } from '../../test/api.ts'
import { useCli } from '../../test/cli.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { isPassword } from '../accounts/passwords.ts'
import { makeApp } from '../http/app.ts'
import { makeLogger } from '../system/logger.ts'
import { commands, runCli } from './cli.ts'
import { UsageError } from './command.ts'

const cli = useCli()
const { run, json } = cli

describe('the command line', () => {
  test('lists the commands, and prints the help of each', async () => {
    const help = await run('--help')
    for (const { name, summary } of commands) {
      expect(help).toContain(`  ${name}`)
      expect(help).toContain(summary)
      expect(await run(`${name} --help`)).toContain(`npm run carillon -- ${name}`)
    }
    expect(await run('')).toBe(help)
    expect(await run('account create --help')).toContain('--email <address>')
  })

  test.each([
    ['acount create', /^Unknown command: acount create\. See npm run carillon -- --help$/],
    ['account', /^Unknown command: account\./],
    ['account create', /^--email is required\. See npm run carillon -- account create --help$/],
    ['account create --email', /--email <value>' argument missing/],
    ['account create --mail x@y.example', /^Unknown option '--mail'/],
    ['account create --email nobody', /^--email must be an e-mail address, not nobody$/],
    ['account create --email a@b.example --time-zone Mars', /^--time-zone must be a zone such as/],
    [
      'account create --email a@b.example --short-code 12',
      /^A short code must have three to six digits, a phone number ten, not 12/,
    ],
    ['account list all', /^Usage: npm run carillon -- account list\. See --help$/],
    ['key disable', /^Usage: npm run carillon -- key disable <id>\./],
    ['key create --account 1 --name x --scope all', /^--scope must be full, read or send$/],
    ['key create --account 1 --name x --rate-limit 5', /^--rate-limit must be calls\/seconds/],
    ['mode switch live', /^The mode must be sandbox or production$/],
  ])('rejects "%s"', async (line, message) => {
    const error = await run(line).catch((fault) => fault)
    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toMatch(message)
    expect(await cli.database.db.many('none', 'select id from accounts')).toEqual([])
  })

  test('rejects a database that is not up to date, and invalid settings', async () => {
    await cli.database.db.exec('undo', `delete from schema_migrations where name like '0600%'`)
    await expect(run('account list')).rejects.toThrow('The database is not up to date (0600_imports.sql is missing)')
    await expect(
      runCli({ args: ['account', 'list'], env: { DATABASE_URL: 'mysql://x/y' }, cwd: cli.folder }),
    ).rejects.toThrow('DATABASE_URL must look like postgresql://')
    const nowhere = { CARILLON_DATA_DIR: join(cli.folder, 'nothing') }
    await expect(runCli({ args: ['account', 'list'], env: nowhere, cwd: cli.folder })).rejects.toThrow(
      /^.*nothing is not a data directory of Carillon yet\. Run npm start once/,
    )
  })
})

describe('accounts', () => {
  test('a new account can send: it has an owner, a short code and a valid key', async () => {
    const made = await json('account create --email ana@cedar.example --time-zone America/New_York')
    expect(made).toMatchObject({
      account: { email: 'ana@cedar.example', username: 'ana', time_zone: 'America/New_York' },
      short_code: expect.stringMatching(/^\d{5}$/),
      password: expect.stringMatching(/^[\w-]{20}$/),
    })
    const app = await makeApp(makeRuntime({ db: cli.database.db, url: cli.database.url }))
    const call = async (url: string, payload: object) => {
      const headers = { authorization: basic(made.api_key.key), 'content-type': 'application/json' }
      return readResponse(
        await app.inject({ method: 'POST', url: `/api/v2${url}`, headers, payload: JSON.stringify(payload) }),
      )
    }
    const { body } = await call('/lists', { list: { name: 'Pantry' } })
    const { id } = body.list as { id: number }
    expect((await call(`/lists/${id}/messages`, { message: { content: 'Hello' } })).status).toBe(200)
    await app.close()
    const user = await cli.database.db.one<{ role: string; hash: string }>(
      'user',
      'select role, password_hash as hash from users where email = $1',
      ['ana@cedar.example'],
    )
    expect(user.role).toBe('owner')
    expect(await isPassword(made.password, user.hash)).toBe(true)
  })

  test('each account has its own short code, which the output shows', async () => {
    const text = await run('account create --email ana@cedar.example --short-code 55555')
    expect(text).toMatch(/API key {5}carillon_key_[\w-]{43}\n {2}Short code {2}55555/)
    const other = await json('account create --email ben@cedar.example')
    expect(other.short_code).not.toBe('55555')
    expect(await run('account list')).toMatch(
      /^ID +EMAIL +NAME +TIME ZONE +STATE +SHORT CODES\n\d+ +ana@cedar\.example .* enabled +55555\n/,
    )
    expect((await json('account list')).accounts).toHaveLength(2)
  })

  test('an email or short code that is taken is rejected, and nothing is created', async () => {
    await run('account create --email ana@cedar.example --short-code 55555')
    await expect(run('account create --email ANA@cedar.example')).rejects.toThrow('has this e-mail address')
    await expect(run('account create --email ben@cedar.example --short-code 55555')).rejects.toThrow('taken')
    expect((await json('account list')).accounts).toHaveLength(1)
    expect((await json('user list')).users).toHaveLength(1)
    await run('user add --account ana@cedar.example --email eve@cedar.example --role viewer')
    await expect(run('account create --email eve@cedar.example')).rejects.toThrow('has this e-mail address')
    expect((await json('account list')).accounts).toHaveLength(1)
  })

  test('a password from a file is not printed', async () => {
    writeFileSync(join(cli.folder, 'secret'), 'correct horse battery\n')
    const made = await json('account create --email ana@cedar.example --password-file secret')
    expect(made).not.toHaveProperty('password')
    writeFileSync(join(cli.folder, 'short'), 'short\n')
    await expect(run('user add --account 1 --email b@c.example --password-file short')).rejects.toThrow(
      /at least 12|no account/,
    )
  })

  test('a short code is required in production', async () => {
    await cli.database.db.exec('production', `update installation set mode = 'production'`)
    await expect(run('account create --email ana@cedar.example')).rejects.toThrow(
      '--short-code is required in production',
    )
    const made = await json('account create --email ana@cedar.example --short-code +1(206)555-0100')
    expect(made.short_code).toBe('2065550100')
    expect(await cli.database.db.many('keys', 'select sandbox from api_keys')).toEqual([{ sandbox: false }])
  })
})

describe('users', () => {
  const hashOf = async (email: string) =>
    (
      await cli.database.db.maybeOne<{ hash: string }>(
        'hash',
        'select password_hash as hash from users where email = $1',
        [email],
      )
    )?.hash ?? ''

  test('a password is generated, or read from a file or standard input, and the previous one is invalid', async () => {
    const { password } = await json('account create --email ana@cedar.example')
    const made = await json('user password --email ANA@cedar.example')
    expect(made.user.email).toBe('ana@cedar.example')
    expect(await isPassword(made.password, await hashOf('ana@cedar.example'))).toBe(true)
    expect(await isPassword(password, await hashOf('ana@cedar.example'))).toBe(false)
    const args = 'user password --email ana@cedar.example --password-file -'.split(' ')
    const env = { DATABASE_URL: cli.database.url }
    const call = (input: string) => runCli({ args, env, cwd: cli.folder, readInput: () => input })
    expect(await call('correct horse battery\n')).toBe('Changed the password of ana@cedar.example.')
    expect(await isPassword('correct horse battery', await hashOf('ana@cedar.example'))).toBe(true)
    await expect(call('short\n')).rejects.toThrow('at least 12 characters')
    await expect(call('')).rejects.toThrow('at least 12 characters')
    await expect(run('user password --email nobody@cedar.example')).rejects.toThrow('User not found')
    await expect(run('user password --email ana@cedar.example --password secret-secret')).rejects.toThrow(UsageError)
    expect(await isPassword('correct horse battery', await hashOf('ana@cedar.example'))).toBe(true)
  })

  test('a user is removed, but not the last owner, also if two are removed at once', async () => {
    await run('account create --email ana@cedar.example')
    await run('user add --account ana@cedar.example --email eve@cedar.example')
    await run('user add --account ana@cedar.example --email ben@cedar.example --role owner')
    await run('account create --email other@cedar.example')
    expect(await run('user remove --email EVE@cedar.example')).toMatch(/^Removed user eve@cedar\.example \(editor\)/)
    await expect(run('user remove --email eve@cedar.example')).rejects.toThrow('User not found')
    const removals = await Promise.allSettled([
      run('user remove --email ana@cedar.example'),
      run('user remove --email ben@cedar.example'),
    ])
    expect(removals.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(removals.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'last_owner' } })
    expect((await json('user list --account ana@cedar.example')).users).toMatchObject([{ role: 'owner' }])
  })
})

test('the keys of a disabled account are rejected at once in all processes, until it is enabled', async () => {
  const made = await json('account create --email ana@cedar.example')
  const other = await json('account create --email ben@cedar.example')
  const apps = [1, 2].map(() => makeApp(makeRuntime({ db: cli.database.db, url: cli.database.url })))
  const call = async (key: string) => {
    const requests = (await Promise.all(apps)).map((app) =>
      app.inject({ url: '/api/v2/lists', headers: { authorization: basic(key) } }),
    )
    return (await Promise.all(requests)).map((response) => response.json().error ?? response.statusCode)
  }
  expect(await call(made.api_key.key)).toEqual([200, 200])
  const { account } = await json('account disable --account ana@cedar.example')
  expect(account.disabled_at).toMatch(/^\d{4}-/)
  expect(await call(made.api_key.key)).toEqual(['This API key is disabled', 'This API key is disabled'])
  expect(await call(other.api_key.key)).toEqual([200, 200])
  expect(await run('account list')).toMatch(/ana@cedar\.example .* disabled/)
  // neither changes anything when it is repeated
  expect((await json(`account disable --account ${account.id}`)).account.disabled_at).toBe(account.disabled_at)
  for (const _ of [1, 2])
    expect((await json('account enable --account ana@cedar.example')).account.disabled_at).toBeNull()
  expect(await call(made.api_key.key)).toEqual([200, 200])
  await Promise.all(apps.map(async (app) => (await app).close()))
})

test('a command is logged with its subject, and without a secret', async () => {
  const lines: string[] = []
  const log = makeLogger({ role: 'command' }, 'info', { write: (line: string) => void lines.push(line) })
  const call = (line: string) =>
    runCli({ args: line.split(' '), env: { DATABASE_URL: cli.database.url }, cwd: cli.folder, log })
  const text = await call('account create --email ana@cedar.example')
  await call('user remove --email ana@cedar.example').catch(() => {})
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { msg: 'command completed', command: 'account create', email: 'ana@cedar.example' },
    { msg: 'command failed', command: 'user remove', err: { code: 'last_owner' } },
  ])
  for (const secret of text.match(/\S{20,}/g) ?? []) expect(lines.join('')).not.toContain(secret)
})

test('keys are created, listed, limited, disabled, enabled and revoked', async () => {
  const { id } = await make.account(cli.database.db, { email: 'ana@cedar.example' })
  const made = await json(
    'key create --account ana@cedar.example --scope read --rate-limit 10/60 --name',
    'Weekly report',
  )
  const key = made.api_key
  expect(key).toMatchObject({ account_id: id, name: 'Weekly report', scope: 'read', operator_rate_limit: '10/60' })
  const app = await makeApp(makeRuntime({ db: cli.database.db }))
  const status = async () =>
    (await app.inject({ url: '/api/v2/lists', headers: { authorization: basic(key.key) } })).statusCode
  expect(await status()).toBe(200)
  expect((await json(`key list --account ${id}`)).api_keys).toMatchObject([{ id: key.id, disabled_at: null }])
  expect(await run('key list')).not.toContain(key.key)
  expect((await json(`key limit ${key.id} off`)).api_key.operator_rate_limit).toBe('off')
  expect((await json(`key limit ${key.id} default`)).api_key.operator_rate_limit).toBeNull()
  expect((await json(`account limit 20/1 --account ${id}`)).account.rate_limit).toBe('20/1')
  expect((await json(`account limit default --account ${id}`)).account.rate_limit).toBeNull()
  await expect(run(`account limit 20 --account ${id}`)).rejects.toThrow('The limit must be calls/seconds')
  await run(`key disable ${key.id}`)
  expect(await status()).toBe(403)
  expect(await run('key list')).toContain('disabled')
  await run(`key enable ${key.id}`)
  expect(await status()).toBe(200)
  await run(`key revoke ${key.id}`)
  expect(await status()).toBe(401)
  expect((await json('key list')).api_keys).toEqual([])
  await expect(run(`key enable ${key.id}`)).rejects.toThrow('API key not found')
  await app.close()
})

test('control characters in names do not reach the terminal', async () => {
  await make.account(cli.database.db, { email: 'ana@cedar.example' })
  const name = '\u001b[2JWeekly\u009b31m\u0007\n7   forged'
  await run('key create --account ana@cedar.example --scope read --name', name)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the characters that must not be there
  expect(await run('key list')).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
  expect(await run('key list')).toContain('\\u001b[2JWeekly\\u009b31m\\u0007\\u000a7   forged')
  expect((await run('key list')).split('\n')).toHaveLength(2)
  expect((await json('key list')).api_keys).toMatchObject([{ name }])
})

test('short codes are stored in one format and belong to one account', async () => {
  const { id } = await make.account(cli.database.db, { email: 'ana@cedar.example' })
  await run(`short-code add 55555 --account ${id}`)
  await run('short-code add +1-206-555-0100 --account ana@cedar.example')
  await expect(run('short-code add 2065550100 --account ana@cedar.example')).rejects.toThrow(
    'Shortcode is taken already',
  )
  await expect(run('short-code add 55556 --account nobody@cedar.example')).rejects.toThrow(
    'There is no account nobody@',
  )
  expect((await json('short-code list')).short_codes.map((row: { short_code: string }) => row.short_code)).toEqual([
    '55555',
    '2065550100',
  ])
})

describe('modes', () => {
  test('mode switch prints the plan, switches with --yes, and pauses sending', async () => {
    const { id: accountId } = await make.account(cli.database.db)
    await make.apiKey(cli.database.db, { accountId })
    expect(await run('mode show')).toBe('sandbox')
    await make.connection(cli.database.db)
    const plan = await json('mode switch production')
    expect(plan.will.join('\n')).toContain('Connections (1) are disabled until you enable them')
    expect(plan).toMatchObject({ mode: 'sandbox', switched: false })
    expect(plan.will.join('\n')).toMatch(/API keys created in the sandbox \(1\) become invalid/)
    expect(await run('mode show')).toBe('sandbox')
    expect(await json('mode switch production --yes')).toMatchObject({ mode: 'production', switched: true })
    expect(await json('mode show')).toEqual({ mode: 'production', sending_paused: true })
    expect(await cli.database.db.many('enabled', 'select enabled from connections')).toEqual([{ enabled: false }])
    expect(await json('mode switch production --yes')).toMatchObject({ switched: false })
  })

  test('mode switch is rejected while a process runs on the database', async () => {
    const heartbeat = `insert into heartbeats (role, instance_id, seen_at) values ('worker', gen_random_uuid(), clock_timestamp())`
    await cli.database.db.exec('insert_heartbeat', heartbeat)
    await expect(run('mode switch production --yes')).rejects.toThrow('Carillon runs on this database (worker)')
    expect(await run('mode show')).toBe('sandbox')
  })

  test('sending resume requires --yes', async () => {
    await cli.database.db.exec('pause', 'update installation set sending_paused = true')
    expect(await run('sending show')).toMatch(/^Sending is paused\.\n0 messages are being sent, 0 texts wait/)
    expect(await json('sending resume')).toMatchObject({ resumed: false, sending_paused: true })
    expect(await json('sending resume --yes')).toMatchObject({ resumed: true, sending_paused: false })
    expect(await run('sending show')).toMatch(/^Sending is not paused\./)
    expect(await run('sending resume --yes')).toBe('Sending is not paused.')
  })
})

test('the script in package.json runs the CLI', () => {
  const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8'))
  expect(scripts.carillon).toBe('exec node server/src/bin/carillon.ts')
})
