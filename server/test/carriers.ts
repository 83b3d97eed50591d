import type { Logger } from 'pino'
import { afterEach, beforeEach } from 'vitest'
import { wake } from '../src/db/wake.ts'
import { startGateway } from '../src/gateway/gateway.ts'
import { make } from './make.ts'
import { type Responder, startCarrier } from './odd-carrier.ts'
import { startSending } from './sending.ts'
import { waitFor } from './wait-for.ts'

/** Accepts each text with an id that counts up. */
export const accept: Responder = (_, ordinal) => ({ message_id: `id${ordinal}` })

export const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_560_001 + n)

/**
 * Sets up the send path before each test of a file, without a connection from the environment. The returned functions add
 * gateways, carriers and sending routes, which are removed after the test.
 */
export function useCarriers() {
  let sending: Awaited<ReturnType<typeof startSending>>
  let cleanUp: Array<() => Promise<unknown>> = []
  beforeEach(async () => {
    sending = await startSending({ leaseMs: 1_500, responseDeadlineMs: 1_000 })
  })
  afterEach(async () => {
    for (const step of cleanUp.reverse()) await step()
    cleanUp = []
    await sending.stop()
  })

  async function startGatewayWithoutEnvironment(options: { log?: Logger } = {}) {
    const { rt } = sending
    const gateway = await startGateway({ ...rt, ...options, config: { ...rt.config, smpp: undefined } })
    let stopped: Promise<void> | undefined
    const stop = () => {
      stopped ??= gateway.stop()
      return stopped
    }
    cleanUp.push(stop)
    return { stop }
  }

  async function startUnconnectedCarrier(respond: Responder = accept) {
    const carrier = await startCarrier(respond)
    cleanUp.push(() => carrier.server.close())
    return carrier
  }

  const slotsOf = (connectionId: number) =>
    sending.db.many<{ leasedBy: string | null; bound: boolean; lastError: string | null }>(
      'slots_of',
      `select leased_by as "leasedBy", bound, last_error as "lastError"
         from bind_slots where connection_id = $1 order by slot`,
      [connectionId],
    )

  return {
    get sending() {
      return sending
    },

    startGateway: startGatewayWithoutEnvironment,

    /** Starts a carrier without a connection to it. */
    startCarrier: startUnconnectedCarrier,

    /** Starts a carrier and creates the connection to it; `id` is that of the connection. */
    async connectCarrier(respond: Responder = accept) {
      const carrier = await startUnconnectedCarrier(respond)
      const { id } = await make.connection(sending.db, { port: carrier.port })
      return { ...carrier, id }
    },

    async updateConnection(connectionId: number, assignments: string) {
      await sending.db.tx(async (tx) => {
        await tx.exec(
          `update_connection ${assignments}`,
          `update connections set ${assignments}, version = version + 1 where id = ${connectionId}`,
        )
        await wake(tx, 'connections')
      })
    },

    /** Adds a sending route of the default short code. */
    async addRoute(connectionId: number, tier: number, weight = 1) {
      await sending.db.tx(async (tx) => {
        await tx.exec(
          'add_route',
          'insert into short_code_routes (short_code_id, connection_id, tier, weight) values ($1, $2, $3, $4)',
          [sending.shortCode.id, connectionId, tier, weight],
        )
        await wake(tx, 'connections')
      })
    },

    slotsOf,

    untilBound: (connectionId: number, count = 1) =>
      waitFor(async () => (await slotsOf(connectionId)).filter((slot) => slot.bound).length === count, {
        what: `${count} slots bound`,
      }),
  }
}
