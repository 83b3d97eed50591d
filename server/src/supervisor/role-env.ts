import type { Config } from '../config/config.ts'

/** What the roles must agree on, found out or made up while starting. */
export type RoleFacts = {
  config: Config
  port: number
  databaseUrl: string
  dataDir: string
  secretKey: string
  /** The simulator's credentials, and its ports once it has told them; undefined in production. */
  simulator: SimulatorFacts | undefined
}

export type SimulatorFacts = { systemId: string; password: string; smppPort: number; controlPort: number }

// What the sandbox's gateway asks of the simulator: a generous carrier account, yet within what tests allow themselves.
const sandboxQuery = 'window=100&binds=4'
const anyPort = 2775 // stands in the address until the simulator has told its port

/** The environment of the roles: the operator's, with what the supervisor has settled put in its place. */
export function roleEnv(inherited: NodeJS.ProcessEnv, facts: RoleFacts): NodeJS.ProcessEnv {
  const settled = { ...common(facts), ...(facts.simulator ? simulated(facts.config, facts.simulator) : {}) }
  const env: NodeJS.ProcessEnv = { ...inherited, ...settled }
  for (const name of Object.keys(settled)) delete env[`${name}_FILE`] // both would be a fault
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
      ? {} // an SMSC of the operator's own on loopback
      : { CARILLON_SMPP_URL: `smpp://${systemId}:${password}@127.0.0.1:${smppPort || anyPort}?${sandboxQuery}` }),
  }
}
