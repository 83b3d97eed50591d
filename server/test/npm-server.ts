import npm from 'smpp'

export type Closers = (() => Promise<unknown> | unknown)[]

/** Starts a server of npm `smpp` on a free port and returns the port; uses TLS if `tls` has a key and a certificate. */
export async function npmServer(
  closers: Closers,
  onSession: (session: npm.Session) => void,
  tls: { key?: string; cert?: string } = {},
): Promise<number> {
  const server = npm.createServer(tls, (session) => {
    // without a listener, an `error` event of a closed socket would end the process
    session.on('error', () => {})
    onSession(session)
  })
  closers.push(async () => {
    for (const session of [...server.sessions]) session.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as { port: number }).port
}
