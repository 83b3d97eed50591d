import type { ServerResponse } from 'node:http'
import { Webhook } from 'standardwebhooks'
import type { Certificate } from '../../certificates.ts'
import { startReceiver, type WebhookReceiver } from '../../webhook-receiver.ts'

/** One arrival of an event. */
export type Arrival = {
  id: string
  position: number
  body: string
  /** In performance.now() milliseconds. */
  at: number
  isFailure: boolean
  /** Whether the sender still waited when the receiver responded with a success. */
  isAcknowledged: boolean
}

type Options = {
  tls?: Certificate
  /** Returns whether the response to the next arrival is a failure. */
  isFailure: () => boolean
}

/** A receiver of events, which verifies each signature, keeps what arrived, and can hold its responses. */
export class EventReceiver {
  readonly name: string
  readonly arrivals: Arrival[] = []
  /** Arrivals whose signature or id is not valid. */
  readonly faults: string[] = []
  #verifier: Webhook | undefined
  #receiver: WebhookReceiver | undefined
  #hold: { released: Promise<void>; responses: ServerResponse[] } | undefined

  private constructor(name: string) {
    this.name = name
  }

  static async start(name: string, { tls, isFailure }: Options): Promise<EventReceiver> {
    const receiver = new EventReceiver(name)
    receiver.#receiver = await startReceiver(async (res, event) => {
      const id = String(event.headers['webhook-id'])
      try {
        receiver.#verifier?.verify(event.raw, event.headers as Record<string, string>)
      } catch (error) {
        receiver.faults.push(`${name}: ${id} has no valid signature: ${(error as Error).message}`)
      }
      const position = Number(/^evt_(\d+)$/.exec(id)?.[1])
      const arrival = {
        id,
        position,
        body: event.raw,
        at: performance.now(),
        isFailure: isFailure(),
        isAcknowledged: false,
      }
      receiver.arrivals.push(arrival)
      receiver.#hold?.responses.push(res)
      await receiver.#hold?.released
      arrival.isAcknowledged = !arrival.isFailure && !res.closed
      res.writeHead(arrival.isFailure ? 500 : 204).end()
    }, tls && { tls })
    return receiver
  }

  get url(): string {
    return this.#receiver?.url ?? ''
  }

  /** Verifies arrivals from now on with this secret. */
  verifyWith(secret: string): void {
    this.#verifier = new Webhook(secret)
  }

  /** Holds responses until `release` is called; `areClosed` returns whether no sender waits for them any more. */
  hold(): { release: () => void; areClosed: () => boolean } {
    const { promise: released, resolve } = Promise.withResolvers<void>()
    const responses: ServerResponse[] = []
    this.#hold = { released, responses }
    return {
      release: () => {
        this.#hold = undefined
        resolve()
      },
      areClosed: () => responses.every(({ closed }) => closed),
    }
  }

  close(): void {
    this.#receiver?.close()
  }
}
