import { readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, makeCaller } from '../../test/api.ts'
import { servePages, useBrowser } from '../../test/browser.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { waitFor } from '../../test/wait-for.ts'
import { readEnv } from '../config/config.ts'
import { makeApp } from './app.ts'

// A foreign page in Chromium, which has stored a key for Carillon, and Carillon's own pages.

const foreignPage = fileURLToPath(new URL('../../test/foreign-page.html', import.meta.url))

const chromium = useBrowser()
let database: TestDatabase
let caller: ApiCaller
let listId: number
let carillon: Awaited<ReturnType<typeof startCarillon>>
let foreign: Awaited<ReturnType<typeof servePages>>
let page: Page

beforeAll(async () => {
  database = await freshDatabase()
  const config = readEnv({ CARILLON_RATE_LIMIT: 'off' })
  const app = await makeApp(makeRuntime({ db: database.db, config }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  caller = await makeCaller(database.db, app)
  const { accountId, shortCode } = caller
  listId = (await make.list(database.db, { accountId, shortCodeId: shortCode.id, name: 'Pantry' })).id
  await make.subscriber(database.db, { listId, phone: 2_065_550_143 })
  carillon = await startCarillon((app.server.address() as AddressInfo).port)
  foreign = await servePages({ '/': readFileSync(foreignPage, 'utf8') })
  return () => app.close()
})
afterAll(async () => {
  await Promise.all([carillon.close(), foreign.close()])
  await database.close()
})

beforeEach(async () => {
  carillon.requests.length = 0
  const context = await chromium.browser.newContext({ httpCredentials: { username: 'me', password: caller.key } })
  page = await context.newPage()
})
afterEach(() => page.context().close())

type SeenRequest = { method: string; path: string; site: string; hasKey: boolean; status: number }

/**
 * Starts a proxy in front of Carillon that lists all requests. Its path `/store-key` asks the browser for a key, as versions of
 * Carillon that challenged browsers did; from then on, the browser adds the key to all requests to this origin.
 */
async function startCarillon(port: number) {
  const requests: SeenRequest[] = []
  const server = createServer((req, res) => {
    const { method = '', url: path = '', headers } = req
    const hasKey = headers.authorization !== undefined
    if (path === '/store-key') {
      const challenge = hasKey ? {} : { 'www-authenticate': 'Basic realm="Carillon", charset="UTF-8"' }
      return void res.writeHead(hasKey ? 200 : 401, challenge).end('stored')
    }
    const forwarded = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      const { statusCode: status = 0 } = response
      requests.push({ method, path, site: String(headers['sec-fetch-site']), hasKey, status })
      res.writeHead(status, response.headers)
      response.pipe(res)
    })
    forwarded.on('error', () => res.destroy())
    req.pipe(forwarded)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    requests,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function storeKey() {
  await page.goto(`${carillon.origin}/store-key`)
  expect(await page.textContent('body')).toBe('stored')
}

/** Lets the foreign page try to send a broadcast and to create a key. */
async function attack() {
  const targets = [
    {
      url: `${carillon.origin}/api/v2/lists/${listId}/messages`,
      json: '{"message":{"content":"Vote for us"}}',
      field: ['message[content]', 'Vote for us'],
    },
    {
      url: `${carillon.origin}/api/v2/api_keys`,
      json: '{"api_key":{"name":"Mine"}}',
      field: ['api_key[name]', 'Mine'],
    },
  ]
  await page.evaluate(`attack(${JSON.stringify(targets)})`)
}

/** Returns the number of messages and of keys of the account. */
async function countEffects() {
  const [messages, keys] = await Promise.all([caller.get(`/lists/${listId}/messages`), caller.get('/api_keys')])
  return { messages: messages.body.count, keys: keys.body.count }
}

describe.each([
  ['of another site', 'localhost', 'cross-site'],
  ['of another port, which is the same site', '127.0.0.1', 'same-site'],
])('a page %s', (_kind, host, site) => {
  test('cannot send a broadcast or create a key with the stored key', async () => {
    const { keys } = await countEffects()
    expect(keys).toBeGreaterThan(0)
    await storeKey()
    await page.goto(foreign.origin(host))
    await attack()
    const posts = () => carillon.requests.filter(({ method }) => method === 'POST')
    await waitFor(() => posts().length === 18, { what: 'six forms, two fetches and a beacon to each of two paths' })
    expect(await countEffects()).toEqual({ messages: 0, keys })
    expect(new Set(posts().map(({ status }) => status))).toEqual(new Set([403]))
    // without the stored key, there would be no attack
    expect(posts().filter(({ hasKey }) => hasKey).length).toBeGreaterThan(10)
    expect(posts().map((post) => post.site)).toContain(site)
  })

  test('cannot show Carillon in a frame, or load its responses', async () => {
    await storeKey()
    await page.goto(foreign.origin(host))
    const paths = ['/', '/docs/', '/api/v2/lists', '/nothing']
    const loaded = await page.evaluate(`embed(${JSON.stringify(paths.map((path) => carillon.origin + path))})`)
    expect(loaded).toEqual(paths.map(() => 'blocked'))
    const frames = page.frames().slice(1)
    expect(frames.map((frame) => frame.url())).toEqual(paths.map(() => 'chrome-error://chromewebdata/'))
    expect(carillon.requests.filter(({ hasKey }) => hasKey).length).toBeGreaterThan(0)
  })
})

test('a browser that opens a path of the API is not asked for a key', async () => {
  const response = await page.goto(`${carillon.origin}/api/v2/lists`)
  expect(response?.status()).toBe(401)
  await page.goto(`${carillon.origin}/`)
  expect(await page.evaluate(async () => (await fetch('/api/v2/lists')).status)).toBe(401)
  expect(carillon.requests.filter(({ path }) => path === '/api/v2/lists')).toHaveLength(2)
  expect(carillon.requests.filter(({ hasKey }) => hasKey)).toEqual([])
})

describe("Carillon's own page", () => {
  let violations: string[]
  beforeEach(() => {
    violations = []
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) violations.push(message.text())
    })
  })

  test('/ shows the status', async () => {
    await page.goto(`${carillon.origin}/`)
    await page.getByRole('heading', { name: 'Carillon is not ready to send' }).waitFor()
    expect(violations).toEqual([])
  })

  test('/docs shows the operations, and calls them with a key', async () => {
    await page.goto(`${carillon.origin}/docs`)
    await page.getByRole('heading', { name: /^Carillon API/ }).waitFor()
    await page.getByRole('button', { name: 'Authorize' }).first().click()
    await page.getByLabel('Username').fill('me')
    await page.getByLabel('Password').fill(caller.key)
    await page.getByRole('button', { name: 'Apply credentials' }).click()
    await page.getByRole('button', { name: 'Close' }).click()
    const operation = page.locator('#operations-API_keys-createApiKey, #operations-API\\ keys-createApiKey').first()
    await operation.getByRole('button').first().click()
    await operation.getByRole('button', { name: 'Try it out' }).click()
    await operation.getByRole('button', { name: 'Execute' }).click()
    await operation.locator('.live-responses-table .response-col_status', { hasText: '201' }).waitFor()
    expect(await countEffects()).toEqual({ messages: 0, keys: 2 })
    expect(violations).toEqual([])
  })
})
