import { createServer } from 'node:net'
import { OperatorError } from '../errors.ts'

/** Makes sure that the api role will be able to listen there, and answers the port: a free one for 0. */
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
    return `Port ${port} on ${host} is taken by another program. Stop that one, or set CARILLON_PORT to a free port.`
  }
  if (code === 'EACCES') return `Port ${port} may not be used by this account. Set CARILLON_PORT to one above 1023.`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return `${host} is no address of this machine. Set CARILLON_HOST to one that is, or to 127.0.0.1.`
  }
  return `Port ${port} on ${host} cannot be listened on (${code}). Look at CARILLON_HOST and CARILLON_PORT.`
}
