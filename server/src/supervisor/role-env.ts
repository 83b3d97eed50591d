import type { Config } from '../config/config.ts'
import { databaseEnv, publicEnv } from '../config/environment.ts'
import { bucketSettings } from '../config/s3-location.ts'
import type { SettingName } from '../config/settings.ts'

export type RoleName = 'api' | 'worker' | 'gateway' | 'simulator'

/** Values for all roles that the supervisor determines when it starts. */
export type RoleFacts = {
  config: Config
  port: number
  databaseUrl: string
  dataDir: string
  secretKey: string
  /** The simulator's credentials, and its ports once it has reported them; undefined in production. */
  simulator: SimulatorFacts | undefined
}

export type SimulatorFacts = { systemId: string; password: string; smppPort: number; controlPort: number }

// Options of the sandbox's connection to the simulator: large for an account at an aggregator, and within the simulator's limits.
const sandboxQuery = 'window=100&binds=4'
const anyPort = 2775 // a placeholder until the simulator has reported its port

/** The secrets that each role uses; it gets no others. */
const secretsOf: Record<RoleName, readonly SettingName[]> = {
  // it tests connections, including that of CARILLON_SMPP_URL
  api: [
    'DATABASE_URL',
    'CARILLON_SECRET_KEY',
    'CARILLON_SMPP_URL',
    'CARILLON_LOOKUP_TOKEN',
    'CARILLON_METRICS_TOKEN',
    'CARILLON_S3_SECRET',
  ],
  // it signs deliveries to webhooks, and writes the files of reports
  worker: ['DATABASE_URL', 'CARILLON_SECRET_KEY', 'CARILLON_S3_SECRET'],
  gateway: ['DATABASE_URL', 'CARILLON_SECRET_KEY', 'CARILLON_SMPP_URL'],
  // the credentials that it accepts
  simulator: ['CARILLON_SMPP_URL'],
}

/**
 * Returns the environment of a role: the variables of the system, the settings that are not secret, the secrets that it uses,
 * and the values that the supervisor has determined.
 */
export function roleEnv(role: RoleName, inherited: NodeJS.ProcessEnv, facts: RoleFacts): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...publicEnv(inherited), ...locations(facts) }
  if (facts.config.databaseUrl && secretsOf[role].includes('DATABASE_URL')) Object.assign(env, databaseEnv(inherited))
  const determined: NodeJS.ProcessEnv = secrets(facts)
  // without its secret, the other settings of a bucket would be a fault
  if (!secretsOf[role].includes('CARILLON_S3_SECRET')) for (const name of bucketSettings) delete env[name]
  for (const name of secretsOf[role]) {
    if (determined[name] !== undefined) env[name] = determined[name]
    else for (const source of [name, `${name}_FILE`]) if (inherited[source]) env[source] = inherited[source]
  }
  return env
}

function secrets({ config, databaseUrl, secretKey, simulator }: RoleFacts) {
  return {
    DATABASE_URL: databaseUrl,
    CARILLON_SECRET_KEY: secretKey,
    // unless the operator has set an SMSC on loopback
    ...(simulator && !config.smpp ? { CARILLON_SMPP_URL: simulatorUrl(simulator) } : {}),
  }
}

function simulatorUrl({ systemId, password, smppPort }: SimulatorFacts): string {
  return `smpp://${systemId}:${password}@127.0.0.1:${smppPort || anyPort}?${sandboxQuery}`
}

function locations({ port, dataDir, simulator }: RoleFacts) {
  return {
    CARILLON_PORT: String(port),
    CARILLON_DATA_DIR: dataDir,
    ...(simulator && {
      CARILLON_SIMULATOR_SMPP_PORT: String(simulator.smppPort),
      CARILLON_SIMULATOR_PORT: String(simulator.controlPort),
      ...(simulator.controlPort ? { CARILLON_SIMULATOR_URL: `http://127.0.0.1:${simulator.controlPort}` } : {}),
    }),
  }
}
