import { type ChildProcess, fork } from 'node:child_process'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HostileCounts, Hostility } from '../../../bench/lib/hostile-sockets.ts'
import { basic, useApi } from '../../test/api.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { makeApp } from './app.ts'

// A thousand slow sockets of another process. `npm run bench -- strangers` is the long form with 5,000 and more kinds, and
// measures times; here, the CPU time of the api's thread is limited, which does not depend on the load of the machine.

const script = join(import.meta.dirname, '../../../bench/lib/hostile-sockets.ts')
const sockets = 1_000

const api = useApi()
let app: FastifyInstance
let url: string
beforeAll(async () => {
  app = await makeApp(makeRuntime({ db: api.db }))
  url = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(() => app.close())

function call(agent: Agent): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: basic(api.owner.key) }
    const sent = request(`${url}/api/v2/accounts/me`, { agent, headers }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode))
    })
    sent.once('error', reject).end()
  })
}

/** Returns the CPU time of this thread in ms. */
const cpuTime = (since?: NodeJS.CpuUsage) => {
  const { user, system } = process.threadCpuUsage(since)
  return (user + system) / 1_000
}

/** Returns the share of a second that this thread works without calls. */
async function shareWithoutCalls(): Promise<number> {
  const [before, from] = [process.threadCpuUsage(), performance.now()]
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  return cpuTime(before) / (performance.now() - from)
}

/**
 * Calls on a kept and on new connections for a second; returns the CPU time of this thread per call in ms, without the share
 * of the time that it works anyway: on a busy machine, calls take longer, and slow sockets send more during each.
 */
async function cpuPerCall(share = 0): Promise<number> {
  const agents = [new Agent({ keepAlive: true, maxSockets: 1 }), new Agent()]
  const [before, from] = [process.threadCpuUsage(), performance.now()]
  const end = from + 1_000
  let calls = 0
  for (; performance.now() < end || calls < 50; calls++) expect(await call(agents[calls % 2] as Agent)).toBe(200)
  const ms = cpuTime(before) - share * (performance.now() - from)
  for (const agent of agents) agent.destroy()
  return ms / calls
}

function startHostile(kind: Hostility): { child: ChildProcess; open(): number } {
  const child = fork(script, [JSON.stringify({ port: Number(new URL(url).port), sockets, kind })])
  let open = 0
  child.on('message', (counts: HostileCounts) => (open = counts.open))
  return { child, open: () => open }
}

test.each<Hostility>(['headers', 'drip'])(
  'a thousand slow sockets (%s) delay a caller by less than its own work',
  async (kind) => {
    await cpuPerCall()
    const alone = await cpuPerCall()
    const { child, open } = startHostile(kind)
    try {
      await waitFor(() => open() === sockets, { timeoutMs: 10_000 })
      const share = await shareWithoutCalls()
      const beside = await cpuPerCall(share)
      expect(open()).toBe(sockets)
      expect(share).toBeLessThan(0.5)
      expect(beside).toBeLessThan(2 * alone)
    } finally {
      child.kill('SIGKILL')
    }
  },
)
