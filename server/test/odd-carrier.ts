import { startGateway } from '../src/gateway/gateway.ts'
import type { Runtime } from '../src/runtime.ts'
import { type DeliverSm, deliverSm, type RequestPdu, type SubmitSm } from '../src/smpp/pdu/pdu.ts'
import { createServer } from '../src/smpp/server.ts'
import type { Session } from '../src/smpp/session.ts'
import type { ResponseFields } from '../src/smpp/session.types.ts'
import { waitFor } from './wait-for.ts'

/** Returns the response to a submit_sm; if undefined, none is sent. */
export type Responder = (pdu: SubmitSm, ordinal: number) => ResponseFields | undefined

/** Starts a carrier whose submit_sm responses the test determines. */
export async function startCarrier(respond: Responder) {
  const submits: SubmitSm[] = []
  const binds: Session[] = []
  const bound = new Set<Session>()
  const server = createServer({
    onBind: () => ({ command_status: 0 }),
    onSession(session) {
      bound.add(session)
      session.on('close', () => bound.delete(session))
      session.on('request', (pdu: RequestPdu) => {
        if (pdu.command !== 'submit_sm') return
        submits.push(pdu)
        binds.push(session)
        const response = respond(pdu, submits.length)
        if (response) session.respond(pdu, response)
      })
    },
  })
  const port = await server.listen(0, '127.0.0.1')
  return { submits, binds, bound, server, port }
}

/** Starts a carrier that misbehaves in ways that the simulator cannot, and a gateway bound to it. */
export async function startOddCarrier(rt: Runtime, respond: Responder) {
  const { submits, binds, bound, server, port } = await startCarrier(respond)
  const { smpp } = rt.config
  if (!smpp) throw new Error('the gateway has no SMPP account')
  const gateway = await startGateway({ ...rt, config: { ...rt.config, smpp: { ...smpp, port } } })
  const anyBind = () => waitFor(() => [...bound][0], { what: 'a bind' })
  await anyBind()

  return {
    submits,
    /** The bind of each of `submits`. */
    binds,
    bound,
    anyBind,

    /** Delivers a receipt with this text and returns the command_status of its response. */
    async receipt(text: string | Buffer, fields: Partial<DeliverSm> = {}) {
      const pdu = deliverSm({
        source_addr: '12065560001',
        destination_addr: '12345',
        esm_class: 4,
        short_message: Buffer.from(text),
        ...fields,
      })
      return (await (await anyBind()).send(pdu)).command_status
    },

    /** Closes all binds and accepts no new ones. */
    async close() {
      for (const session of bound) session.destroy()
      await server.close()
    },

    async stop() {
      await gateway.stop()
      await server.close()
    },
  }
}
