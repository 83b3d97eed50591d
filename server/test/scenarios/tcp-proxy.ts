import { connect, createServer, type Server, type Socket } from 'node:net'

type Pair = { near: Socket; far: Socket }

/** A TCP proxy between the product and a carrier, whose sockets can be made half open. */
export class TcpProxy {
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  port = 0

  private constructor(server: Server) {
    this.#server = server
  }

  /** Starts a proxy on a free local port that forwards to `farPort` on this machine. */
  static async start(farPort: number): Promise<TcpProxy> {
    const proxy: TcpProxy = new TcpProxy(
      createServer((near) => {
        const far = connect(farPort, '127.0.0.1')
        const pair = { near, far }
        proxy.#pairs.add(pair)
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
            proxy.#pairs.delete(pair)
          })
        }
      }),
    )
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    const address = proxy.#server.address()
    proxy.port = typeof address === 'object' && address ? address.port : 0
    return proxy
  }

  /**
   * Makes the existing sockets half open: they lose all traffic, and neither end is closed; new ones work. The returned
   * function closes them, as the far end does when it detects the failure.
   */
  discardTraffic(): () => void {
    const discarding = [...this.#pairs]
    for (const { near, far } of discarding) {
      for (const end of [near, far]) {
        end.removeAllListeners('data')
        end.removeAllListeners('drain')
        end.resume() // data is read and discarded, as by a network that loses packets
      }
    }
    return () => {
      for (const { near, far } of discarding) {
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
