import { expect, test } from 'vitest'
import { readEnv } from '../config/config.ts'
import { type SettingName, settings } from '../config/settings.ts'
import { type RoleName, roleEnv } from './role-env.ts'

const roles: RoleName[] = ['api', 'worker', 'gateway', 'simulator']
const secretKey = 'ab'.repeat(32)
const ownUrl = 'postgresql://carillon:hush-database@127.0.0.1/carillon'

const inherited = {
  PATH: '/bin',
  TZ: 'UTC',
  NODE_OPTIONS: '--no-warnings',
  AWS_SECRET_ACCESS_KEY: 'hush-cloud',
  GITHUB_TOKEN: 'hush-git',
  PGPASSWORD: 'hush-postgres',
  CARILLON_LOG_LEVEL: 'debug',
  CARILLON_METRICS_TOKEN: 'hush-metrics-token',
  CARILLON_LOOKUP_TOKEN_FILE: '/etc/hush-token',
  CARILLON_SECRET_KEY_FILE: '/etc/hush-key',
  CARILLON_SANDBOX_API_KEY: 'hush-sandbox-api-key',
  DATABASE_URL_FILE: '/etc/hush-url',
}

function envOf(role: RoleName, env: Record<string, string | undefined> = inherited) {
  const simulator = { systemId: 'carillon', password: 'hush-smpp', smppPort: 2776, controlPort: 2777 }
  const config = readEnv({ CARILLON_SMPP_URL: env.CARILLON_SMPP_URL, DATABASE_URL: env.DATABASE_URL })
  return roleEnv(role, env, { config, port: 8080, databaseUrl: ownUrl, dataDir: '/data', secretKey, simulator })
}

const isSecret = (name: string) => {
  const setting = name.replace(/_FILE$/, '') as SettingName
  return Object.hasOwn(settings, setting) && 'secret' in settings[setting]
}

test.each([
  [
    'api',
    [
      'CARILLON_LOOKUP_TOKEN_FILE',
      'CARILLON_METRICS_TOKEN',
      'CARILLON_SECRET_KEY',
      'CARILLON_SMPP_URL',
      'DATABASE_URL',
    ],
  ],
  ['worker', ['CARILLON_SECRET_KEY', 'DATABASE_URL']],
  ['gateway', ['CARILLON_SECRET_KEY', 'CARILLON_SMPP_URL', 'DATABASE_URL']],
  ['simulator', ['CARILLON_SMPP_URL']],
] satisfies [RoleName, string[]][])('the secrets of the %s are those that it uses', (role, secrets) => {
  const env = envOf(role)
  expect(Object.keys(env).filter(isSecret).sort()).toEqual(secrets)
  expect(
    Object.keys(env)
      .filter((name) => !isSecret(name))
      .sort(),
  ).toEqual([
    ...[
      'CARILLON_DATA_DIR',
      'CARILLON_LOG_LEVEL',
      'CARILLON_PORT',
      'CARILLON_SIMULATOR_PORT',
      'CARILLON_SIMULATOR_SMPP_PORT',
    ],
    ...['CARILLON_SIMULATOR_URL', 'NODE_OPTIONS', 'PATH', 'TZ'],
  ])
})

test('a role gets the values of the supervisor, and not the files that they replace', () => {
  const env = envOf('gateway')
  expect(env).toMatchObject({ DATABASE_URL: ownUrl, CARILLON_SECRET_KEY: secretKey, CARILLON_PORT: '8080' })
  expect(env.CARILLON_SMPP_URL).toBe('smpp://carillon:hush-smpp@127.0.0.1:2776?window=100&binds=4')
  expect(env).not.toHaveProperty('CARILLON_SECRET_KEY_FILE')
})

test('the roles that use an own PostgreSQL get the variables of its clients', () => {
  const own = { ...inherited, DATABASE_URL_FILE: undefined, DATABASE_URL: 'postgresql://db.example.net/carillon' }
  for (const role of roles) expect(envOf(role, own).PGPASSWORD).toBe(role === 'simulator' ? undefined : 'hush-postgres')
})

test('a role can read its settings, and uses the SMSC of the operator', () => {
  const own = { CARILLON_SMPP_URL: 'smpp://me:secret@127.0.0.1:2780' }
  for (const role of roles) {
    const env = envOf(role, own)
    expect(readEnv(env).simulator.controlPort).toBe(2777)
    expect(env.CARILLON_SMPP_URL).toBe(role === 'worker' ? undefined : own.CARILLON_SMPP_URL)
  }
})

test.each(roles)(
  'the %s can read its settings if there is a bucket, whose secret only the api and the worker have',
  (role) => {
    const bucket = {
      CARILLON_S3_ENDPOINT: 'https://s3.eu-central-1.amazonaws.com',
      CARILLON_S3_BUCKET: 'example-carillon',
      CARILLON_S3_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
      CARILLON_S3_SECRET: 'hush-bucket',
      CARILLON_S3_PREFIX: 'carillon/',
    }
    const { s3 } = readEnv(envOf(role, bucket))
    const uses = role === 'api' || role === 'worker'
    expect([s3?.bucket, s3?.secret.reveal()]).toEqual(
      uses ? ['example-carillon', 'hush-bucket'] : [undefined, undefined],
    )
  },
)
