import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Load, LoadResult } from './load.ts'

// The client of a bench, and the server that it is compared with, each in a process of its own.

const scriptPath = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Runs a load in another process, and returns its result; throws if that process ends without one. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const child = fork(scriptPath('load.ts'), [JSON.stringify(load)])
  const failed = once(child, 'exit').then(([code]) =>
    Promise.reject(new Error(`the load client ended with code ${code}`)),
  )
  const [result] = (await Promise.race([once(child, 'message'), failed])) as [LoadResult]
  return result
}

/** Calls `work` with the port of a minimal server of Fastify in another process. */
export async function withHello<T>(work: (port: number) => Promise<T>): Promise<T> {
  const child = fork(scriptPath('hello.ts'))
  try {
    const [port] = (await once(child, 'message')) as [number]
    return await work(port)
  } finally {
    child.disconnect()
  }
}
