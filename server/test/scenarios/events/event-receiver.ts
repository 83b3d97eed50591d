import { Webhook } from 'standardwebhooks'
import type { Certificate } from '../../certificates.ts'
import { type Respond, startReceiver, type WebhookReceiver } from '../../webhook-receiver.ts'

/** One arrival of an event: its id, position and body, and when it arrived, in performance.now() milliseconds. */
export type Arrival = { id: string; position: number; body: string; at: number }

/** A receiver of events, which verifies each signature, keeps what arrived, and can hold its responses. */
export class EventReceiver {
  readonly name: string
  readonly arrivals: Arrival[] = []
  /** Arrivals whose signature or id is not valid. */
  readonly faults: string[] = []
  #verifier: Webhook | undefined
  #receiver: WebhookReceiver | undefined
  #hold: { opened: Promise<void>; open: () => void } | undefined

  private constructor(name: string) {
    this.name = name
  }

  static async start(name: string, options: { tls?: Certificate; respond?: Respond } = {}): Promise<EventReceiver> {
    const receiver = new EventReceiver(name)
    const respond = options.respond ?? ((res) => void res.writeHead(204).end())
    receiver.#receiver = await startReceiver(async (res, event, n) => {
      const id = String(event.headers['webhook-id'])
      try {
        receiver.#verifier?.verify(event.raw, event.headers as Record<string, string>)
      } catch (error) {
        receiver.faults.push(`${name}: ${id} has no valid signature: ${(error as Error).message}`)
      }
      const position = Number(/^evt_(\d+)$/.exec(id)?.[1])
      receiver.arrivals.push({ id, position, body: event.raw, at: performance.now() })
      await receiver.#hold?.opened
      await respond(res, event, n)
    }, options)
    return receiver
  }

  get url(): string {
    return this.#receiver?.url ?? ''
  }

  /** Verifies arrivals from now on with this secret. */
  verifyWith(secret: string): void {
    this.#verifier = new Webhook(secret)
  }

  /** Holds responses until the returned function is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#hold = { opened: promise, open: resolve }
    return () => {
      this.#hold = undefined
      resolve()
    }
  }

  close(): void {
    this.#receiver?.close()
  }
}
