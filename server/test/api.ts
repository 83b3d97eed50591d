import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import type { Db } from '../src/db/db.ts'
import { makeApp } from '../src/http/app.ts'
import type { Runtime } from '../src/runtime.ts'
import { undeclaredStatus } from './contract/declared.ts'
import { freshDatabase, useDatabase } from './database.ts'
import { make } from './make.ts'
import { makeRuntime } from './runtime.ts'

export type ApiResponse = {
  status: number
  body: Record<string, unknown>
  headers: Record<string, unknown>
  text: string
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH'

/** A caller of the API with an account, a key and a short code. Paths are below /api/v2. */
export type ApiCaller = {
  accountId: number
  email: string
  keyId: number
  key: string
  shortCode: { id: number; code: string }
  get(path: string, options?: InjectOptions): Promise<ApiResponse>
  post(path: string, body?: unknown, options?: InjectOptions): Promise<ApiResponse>
  put(path: string, body?: unknown, options?: InjectOptions): Promise<ApiResponse>
  delete(path: string, body?: unknown, options?: InjectOptions): Promise<ApiResponse>
  /** Sends exactly this body, and no header besides these and the key's. */
  send(method: Method, path: string, headers?: Record<string, string>, payload?: string | Buffer): Promise<ApiResponse>
}

/** The Authorization header for a key. */
export function basic(key: string, userName = 'anybody'): string {
  return `Basic ${Buffer.from(`${userName}:${key}`).toString('base64')}`
}

/** Creates a caller of `app`, which must use `db`. A response whose status openapi.json does not declare fails the test. */
export async function makeCaller(db: Db, app: FastifyInstance, isOperator = false): Promise<ApiCaller> {
  const account = await make.account(db, { isOperator })
  return { ...(await makeCallerOf(db, app, { accountId: account.id })), email: account.email }
}

/** Creates a caller of `app` with a new key and short code of an account. */
export async function makeCallerOf(
  db: Db,
  app: FastifyInstance,
  { accountId }: { accountId: number },
): Promise<Omit<ApiCaller, 'email'>> {
  const { id: keyId, key } = await make.apiKey(db, { accountId })
  const shortCode = await make.shortCode(db, { accountId })
  const inject = async (method: Method, url: string, given: InjectOptions) => {
    const response = readResponse(await app.inject({ method, url, ...given }))
    const fault = undeclaredStatus(app, method, url, response.status)
    if (fault !== undefined) throw new Error(`${fault}: ${response.text}`)
    return response
  }
  const call = async (
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body: unknown,
    options: InjectOptions = {},
  ) => {
    const payload = body === undefined ? {} : { payload: JSON.stringify(body) }
    const headers = { authorization: basic(key), 'content-type': 'application/json', ...options.headers }
    return inject(method, `/api/v2${path}`, { ...payload, ...options, headers })
  }
  return {
    accountId,
    keyId,
    key,
    shortCode,
    get: (path, options) => call('GET', path, undefined, options),
    post: (path, body, options) => call('POST', path, body, options),
    put: (path, body, options) => call('PUT', path, body, options),
    delete: (path, body, options) => call('DELETE', path, body, options),
    async send(method, path, headers = {}, payload = undefined) {
      const body = payload === undefined ? {} : { payload }
      const url = `/api/v2${path}`
      return inject(method, url, { headers: { authorization: basic(key), ...headers }, ...body })
    },
  }
}

export function readResponse(response: Awaited<ReturnType<FastifyInstance['inject']>>): ApiResponse {
  const isJson = String(response.headers['content-type']).startsWith('application/json')
  return {
    status: response.statusCode,
    body: isJson ? response.json() : {},
    headers: response.headers,
    text: response.body,
  }
}

type TestApi = {
  db: Db
  rt: Runtime
  readonly app: FastifyInstance
  readonly owner: ApiCaller
  readonly stranger: ApiCaller
}

/**
 * Provides the app on a test file's rolled-back database, with two empty accounts: `owner`, an operator, and `stranger`. With
 * `prepare`, all tests share these accounts and what it wrote, and the changes of each test are rolled back.
 */
export function useApi(overrides: Partial<Runtime> = {}, prepare?: (api: TestApi) => Promise<void>): TestApi {
  const makeCallers = async () => {
    state.owner = await makeCaller(db, state.app, true)
    state.stranger = await makeCaller(db, state.app)
  }
  const ctx = useDatabase(
    prepare &&
      (async () => {
        state.app = await makeApp(rt)
        await makeCallers()
        await prepare(api)
      }),
  )
  // each test has a new transaction, and the app is built once
  const db: Db = {
    many: (...args) => ctx.db.many(...args),
    maybeOne: (...args) => ctx.db.maybeOne(...args),
    one: (...args) => ctx.db.one(...args),
    exec: (...args) => ctx.db.exec(...args),
    tx: (work) => ctx.db.tx(work),
    withClient: (work) => ctx.db.withClient(work),
  }
  const rt = makeRuntime({ ...overrides, db })
  const state = {} as { app: FastifyInstance; owner: ApiCaller; stranger: ApiCaller }
  if (!prepare) {
    beforeAll(async () => {
      state.app = await makeApp(rt)
    })
    beforeEach(makeCallers)
  }
  afterAll(() => state.app.close())
  const api: TestApi = {
    db,
    rt,
    get app() {
      return state.app
    },
    get owner() {
      return state.owner
    },
    get stranger() {
      return state.stranger
    },
  }
  return api
}

/**
 * Opens the app on a database of its own, with two empty accounts, for tests that need real commits or several connections; the test
 * must close it.
 */
export async function freshApi(given: Partial<Runtime> = {}) {
  const database = await freshDatabase()
  const rt = makeRuntime({ ...database, ...given })
  const app = await makeApp(rt)
  return {
    database,
    rt,
    app,
    owner: await makeCaller(database.db, app),
    stranger: await makeCaller(database.db, app),
    async close() {
      await app.close()
      await database.close()
    },
  }
}
