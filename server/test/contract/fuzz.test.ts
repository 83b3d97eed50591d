import { expect, test } from 'vitest'
import { basic, readResponse, useApi } from '../api.ts'
import { bodies } from './bodies.ts'
import { undeclaredStatus } from './declared.ts'
import { createFixtures } from './fixtures.ts'
import { deepBody, type Fuzz, makeFuzz, rawBodies } from './fuzz.ts'

// Malformed traffic on every operation: every request gets a response, and none gets a 5xx. A run is limited by time and
// repeatable by its seed: `FUZZ_SEED=7 FUZZ_ROUNDS=50 npm test -- contract/fuzz`. A round is one transaction; a longer one
// would need more locks than PostgreSQL provides, one per created object.

const api = useApi()
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000)
const rounds = Number(process.env.FUZZ_ROUNDS ?? 2)
const roundMs = 2_000
const responseTimeoutMs = 5_000

type Call = { method: string; url: string; headers: Record<string, string>; payload?: string | Buffer }

const seeds = Array.from({ length: rounds }, (_, n) => seed + n)

test.each(seeds)(
  'responds to every malformed request without a 5xx (FUZZ_SEED=%i)',
  { timeout: 60_000 },
  async (seed) => {
    console.log(`fuzzing with FUZZ_SEED=${seed} for ${roundMs} ms`)
    const fuzz = makeFuzz(seed)
    const ids = await createFixtures(api.db, api.owner, { name: 'Pantry', phone: 2_065_550_143 })
    const operations = Object.entries(bodies)
    const statuses: Record<string, number> = {}
    const faults: string[] = []
    const deadline = performance.now() + roundMs
    for (let n = 0; performance.now() < deadline || n < operations.length; n++) {
      const [operation = '', body = null] = operations[n % operations.length] ?? []
      const call = malform(fuzz, operation, body, ids)
      await api.db.exec('before', 'savepoint before')
      const response = await responseTo(call)
      await api.db.exec('undo', 'rollback to savepoint before')
      const fault = faultOf(call, response)
      if (fault) faults.push(`${fault}: call ${n}, ${show(call)}\n${response?.body}`)
      const code = String(response?.statusCode)
      statuses[code] = (statuses[code] ?? 0) + 1
    }
    expect(faults, `FUZZ_SEED=${seed}`).toEqual([])
    console.log(`responses: ${JSON.stringify(statuses)}`)
    // the requests also passed authentication and validation
    expect(statuses['422']).toBeGreaterThan(10)
    expect(Object.keys(statuses).some((code) => code.startsWith('2'))).toBe(true)
  },
)

function malform(fuzz: Fuzz, operation: string, body: object | string | null, ids: Record<string, string>): Call {
  const [method = '', template = ''] = operation.split(' ')
  const isFile = typeof body === 'string'
  const path = template.replace(/\{(\w+)\}/g, (_, name) => (fuzz.chance(0.1) ? fuzz.pathPart() : (ids[name] ?? '')))
  const query = fuzz.chance(method === 'GET' ? 0.7 : 0.2) ? fuzz.query() : ''
  const headers: Record<string, string> = {
    authorization: basic(api.owner.key),
    'content-type': isFile ? fuzz.pick(['text/csv', 'application/x-ndjson']) : 'application/json',
    ...(fuzz.chance(0.1) ? fuzz.header() : {}),
  }
  const kind = fuzz.int(10)
  const payload =
    kind === 0
      ? fuzz.pick(rawBodies)
      : kind === 1
        ? deepBody(fuzz, body)
        : isFile
          ? fuzz.file(body)
          : body === null
            ? JSON.stringify(fuzz.value())
            : JSON.stringify(fuzz.mutate(body))
  return { method, url: `/api/v2${path}${query}`, headers, payload }
}

async function responseTo({ method, ...call }: Call) {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), responseTimeoutMs)
  })
  try {
    return await Promise.race([api.app.inject({ method: method as 'GET', ...call }), timeout])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Returns the fault of a response, or undefined: no response, a 5xx, a status that openapi.json does not declare, or a body
 * without Carillon's envelope.
 */
function faultOf({ method, url }: Call, response: Awaited<ReturnType<typeof responseTo>>): string | undefined {
  if (!response) return 'no response'
  if (response.statusCode >= 500) return String(response.statusCode)
  if (typeof readResponse(response).body.status !== 'string') return 'no envelope'
  return undeclaredStatus(api.app, method, url, response.statusCode)
}

function show({ method, url, headers, payload }: Call): string {
  return JSON.stringify({ method, url, headers, payload: String(payload).slice(0, 2_000) })
}
