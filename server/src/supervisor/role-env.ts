import type { Config } from '../config/config.ts'

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

/** Returns the environment of the roles: the inherited one, with the values that the supervisor has determined. */
export function roleEnv(inherited: NodeJS.ProcessEnv, facts: RoleFacts): NodeJS.ProcessEnv {
  const determined = { ...common(facts), ...(facts.simulator ? simulated(facts.config, facts.simulator) : {}) }
  const env: NodeJS.ProcessEnv = { ...inherited, ...determined }
  for (const name of Object.keys(determined)) delete env[`${name}_FILE`] // setting both is a configuration error
  return env
}

function common({ port, databaseUrl, dataDir, secretKey }: RoleFacts) {
  return {
    CARILLON_PORT: String(port),
    CARILLON_DATA_DIR: dataDir,
    DATABASE_URL: databaseUrl,
    CARILLON_SECRET_KEY: secretKey,
  }
}

function simulated(config: Config, { systemId, password, smppPort, controlPort }: SimulatorFacts) {
  return {
    CARILLON_SIMULATOR_SMPP_PORT: String(smppPort),
    CARILLON_SIMULATOR_PORT: String(controlPort),
    ...(controlPort ? { CARILLON_SIMULATOR_URL: `http://127.0.0.1:${controlPort}` } : {}),
    ...(config.smpp
      ? {} // the operator has set an SMSC on loopback
      : { CARILLON_SMPP_URL: `smpp://${systemId}:${password}@127.0.0.1:${smppPort || anyPort}?${sandboxQuery}` }),
  }
}
