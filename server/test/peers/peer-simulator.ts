import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Secret } from '../../src/config/secret.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'

export type HandsetMessage = { direction: string; content: string; part_count: number; complete: boolean }
export type SimulatorState = {
  accepted: number
  throttled: number
  owed: number
  binds: { id: number; state: string }[]
}

/** Starts our simulator for one peer; the result has the account that the peer must use. */
export async function startPeerSimulator() {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-peers-'))
  const account = { host: '127.0.0.1', port: 0, tls: false, window: 100, mps: undefined, binds: 1 }
  const simulator = await startSimulator({
    config: {
      simulator: {
        latencyMs: 5,
        receiptDelayMs: 50,
        smppPort: 0,
        controlPort: 0,
        controlUrl: undefined,
        rawFile: join(folder, 'submits.raw'),
        rawFileBytes: Number.POSITIVE_INFINITY,
      },
      smpp: { ...account, systemId: 'carillon', password: new Secret('chimes') },
    },
    log: pino({ level: 'silent' }),
  })
  const control = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${simulator.controlPort}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    return (await response.json()) as T
  }

  return {
    folder,
    port: simulator.smppPort,
    systemId: 'carillon',
    password: 'chimes',
    state: () => control<SimulatorState>('GET', '/state'),
    settings: (body: unknown) => control('PATCH', '/settings', body),
    /** Returns the texts that the handset received, oldest first. */
    async received(phone: string): Promise<HandsetMessage[]> {
      const { messages } = await control<{ messages: HandsetMessage[] }>('GET', `/handsets/${phone}/messages`)
      return messages.filter(({ direction }) => direction === 'MT')
    },
    sendMo: (phone: string, to: string, content: string) =>
      control('POST', `/handsets/${phone}/messages`, { to, content }),
    async stop() {
      await simulator.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type PeerSimulator = Awaited<ReturnType<typeof startPeerSimulator>>
