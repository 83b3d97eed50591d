import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config/config.ts'
import type { SmppAddress } from '../config/parsers.ts'
import type { Db } from '../db/db.ts'
import { wake } from '../db/wake.ts'
import type { Clock } from '../lib/clock.ts'
import type { Sealer } from '../lib/seal.ts'
import {
  addConnection,
  type ConnectionRow,
  type EnvironmentName,
  lockConnectionByName,
  releaseEnvironmentConnection,
  setEnvironmentConnection,
} from './connections.queries.ts'
import { makeSealer, matchesSecret, sealSecret } from './secrets.ts'

/** The name of the connection of CARILLON_SMPP_URL. */
export const environmentName = 'default'

/**
 * Creates or updates the connection of CARILLON_SMPP_URL and returns its id. It updates address and credentials, and window,
 * cap and slots if the URL has them. Processes may call it concurrently; only a change notifies the gateways.
 */
export function ensureEnvironmentConnection(
  { db, clock, config }: { db: Db; clock: Clock; config: Pick<Config, 'secretKey'> },
  smpp: SmppAddress,
): Promise<number> {
  const sealer = makeSealer(config)
  return db.tx(async (tx) => {
    // selected first, because a conflicting insert would use up an id, and there are only 32,767
    const known = await lockConnectionByName(tx, environmentName)
    const isNew = !known && (await addConnection(tx, environmentName, clock.now())) === 1
    const row = known ?? (await lockConnectionByName(tx, environmentName))
    if (!row) throw new Error('the connection of CARILLON_SMPP_URL was removed concurrently')
    if (isNew || isOutdated(row, smpp, sealer)) {
      const { host, port, tls, systemId } = smpp
      const given = { window: smpp.window ?? null, mps: smpp.mps ?? null, slots: smpp.binds ?? null }
      const password = sealer ? sealSecret(sealer, 'password', smpp.password) : row.password
      await setEnvironmentConnection(tx, row.id, { host, port, tls, systemId, password, ...given }, isNew, clock.now())
      await wake(tx, 'connections')
    }
    return row.id
  })
}

/**
 * Disables the connection of CARILLON_SMPP_URL after the variable was removed; operators may then edit and enable it.
 * Returns whether there was such a connection.
 */
export function releaseEnvironment({ db, clock }: { db: Db; clock: Clock }): Promise<boolean> {
  return db.tx(async (tx) => {
    const released = (await releaseEnvironmentConnection(tx, clock.now())) > 0
    if (released) await wake(tx, 'connections')
    return released
  })
}

function isOutdated(row: ConnectionRow, smpp: SmppAddress, sealer: Sealer | undefined): boolean {
  return (
    !row.fromEnvironment ||
    row.host !== smpp.host ||
    row.port !== smpp.port ||
    row.tls !== smpp.tls ||
    row.systemId !== smpp.systemId ||
    row.window !== (smpp.window ?? row.window) ||
    row.mps !== (smpp.mps ?? row.mps) ||
    row.slots !== (smpp.binds ?? row.slots) ||
    !isDeepStrictEqual(row.environmentNames, namesIn(smpp)) ||
    !hasPassword(row, smpp, sealer)
  )
}

function namesIn({ window, mps, binds }: SmppAddress): EnvironmentName[] {
  const given = { window, mps, slots: binds }
  return (['window', 'mps', 'slots'] as const).filter((name) => given[name] !== undefined)
}

/** Returns whether the row has this password; true in a process without the secret key, which cannot compare them. */
function hasPassword(row: ConnectionRow, smpp: SmppAddress, sealer: Sealer | undefined): boolean {
  if (!sealer) return true
  return row.password !== null && matchesSecret(sealer, 'password', row.password, smpp.password)
}
