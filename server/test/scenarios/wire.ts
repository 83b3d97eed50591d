import { connect, createServer, type Server, type Socket } from 'node:net'

type Pair = { near: Socket; far: Socket }

/** A TCP proxy between the product and a carrier that can be made to fail. */
export class Wire {
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  port = 0

  private constructor(server: Server) {
    this.#server = server
  }

  /** Starts a wire to this local port. */
  static async to(farPort: number): Promise<Wire> {
    const wire: Wire = new Wire(
      createServer((near) => {
        const far = connect(farPort, '127.0.0.1')
        const pair = { near, far }
        wire.#pairs.add(pair)
        for (const [one, other] of [
          [near, far],
          [far, near],
        ] as const) {
          one.setNoDelay(true)
          one.on('data', (bytes) => {
            if (!other.write(bytes)) one.pause()
          })
          other.on('drain', () => one.resume())
          one.on('error', () => {})
          one.on('close', () => {
            other.destroy()
            wire.#pairs.delete(pair)
          })
        }
      }),
    )
    await new Promise<void>((resolve) => wire.#server.listen(0, '127.0.0.1', resolve))
    const address = wire.#server.address()
    wire.port = typeof address === 'object' && address ? address.port : 0
    return wire
  }

  /**
   * Half open: existing connections carry nothing any more, and neither end is closed; new ones work. The returned
   * function closes them, as the far end does when it notices.
   */
  swallow(): () => void {
    const swallowed = [...this.#pairs]
    for (const { near, far } of swallowed) {
      for (const end of [near, far]) {
        end.removeAllListeners('data')
        end.removeAllListeners('drain')
        end.resume() // what comes is read, as by a network that loses it
      }
    }
    return () => {
      for (const { near, far } of swallowed) {
        near.destroy()
        far.destroy()
      }
    }
  }

  close(): void {
    this.#server.close()
    for (const { near, far } of this.#pairs) {
      near.destroy()
      far.destroy()
    }
  }
}
