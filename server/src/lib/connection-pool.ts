import type { LookupAddress } from 'node:dns'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Resolve } from './name-resolver.ts'

/** Time after which an idle connection of a pool is closed; servers usually wait longer. */
const maxIdleMs = 4_000

/**
 * Connections to one endpoint, for requests whose repetition is harmless: if the server closes a reused connection instead
 * of responding, the request is sent again, once, on a new one. The addresses are checked at each new connection.
 */
export class ConnectionPool {
  readonly #agents: { 'http:': HttpAgent; 'https:': HttpsAgent }
  readonly #lookUps = new Map<string, Promise<LookupAddress[]>>()

  constructor(maxConnections: number) {
    const options = { keepAlive: true, maxSockets: maxConnections, maxFreeSockets: maxConnections, timeout: maxIdleMs }
    this.#agents = { 'http:': new HttpAgent(options), 'https:': new HttpsAgent(options) }
  }

  agentOf(url: URL): HttpAgent | HttpsAgent {
    return this.#agents[url.protocol === 'https:' ? 'https:' : 'http:']
  }

  /** Returns the result of `resolve`; connections that are opened at the same time share it. */
  lookUp(host: string, resolve: Resolve): Promise<LookupAddress[]> {
    const pending = this.#lookUps.get(host)
    if (pending) return pending
    const started = resolve(host).finally(() => this.#lookUps.delete(host))
    this.#lookUps.set(host, started)
    return started
  }

  /** Closes all connections, also those in use. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }
}
