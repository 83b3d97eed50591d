import { createServer } from 'node:net'
import { OperatorError } from '../errors.ts'

/** Returns the port, or a free one for 0; throws OperatorError if the api role cannot listen on it. */
export async function checkPort(host: string, port: number): Promise<number> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen({ host, port }, resolve))
  } catch (e) {
    throw new OperatorError(explain(host, port, (e as NodeJS.ErrnoException).code))
  }
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : port
}

function explain(host: string, port: number, code: string | undefined): string {
  if (code === 'EADDRINUSE') {
    return `Port ${port} on ${host} is in use by another program. Stop that program, or set CARILLON_PORT to a free port.`
  }
  if (code === 'EACCES') return `Port ${port} may not be used by this account. Set CARILLON_PORT to a port above 1023.`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return `${host} is not an address of this machine. Set CARILLON_HOST to an address of this machine, or to 127.0.0.1.`
  }
  return `Cannot listen on port ${port} of ${host} (${code}). Check CARILLON_HOST and CARILLON_PORT.`
}
