import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, test } from 'vitest'
import { type ApiResponse, basic, readResponse, useApi } from '../api.ts'
import { make } from '../make.ts'
import { faultsOf, type Operation, operations } from './document.ts'
import { type Outcome, outcomes, type World } from './outcomes.ts'

// Provokes each outcome that the vendor's contract documents: the response matches the schema and has the literal sentence.

const api = useApi()
let world: World

beforeEach(async () => {
  const { owner, db } = api
  const list = await make.list(db, { accountId: owner.accountId, shortCodeId: owner.shortCode.id, name: 'Pantry' })
  await make.subscriber(db, { listId: list.id, phone: 2_065_550_143 })
  const webhook = await make.webhook(db, { listId: list.id })
  const report = await make.momtReport(db, { accountId: owner.accountId })
  const sent = await owner.post(`/lists/${list.id}/messages`, { message: { content: 'Hello' } })
  world = {
    owner,
    ids: {
      list_id: String(list.id),
      phone_number: '2065550143',
      message_id: String((sent.body.message as { id: number }).id),
      webhook_id: String(webhook.id),
      momt_report_id: String(report.id),
      shortcode: owner.shortCode.code,
    },
  }
})

type Shared = (operation: Operation) => Promise<ApiResponse>

/** Outcomes that operations have in common. `default` stands for every other error. */
const shared: Record<string, { sentence: string | RegExp; provoke: Shared }> = {
  '400': { sentence: /^Malformed request body/, provoke: (operation) => call(operation, {}, { payload: '{"list":' }) },
  '401': {
    sentence: 'API key authorization failure',
    provoke: (operation) => call(operation, {}, { key: 'tatango_key_unknown' }),
  },
  '403': {
    sentence: 'This API key is disabled',
    async provoke(operation) {
      const { key } = await make.apiKey(api.db, { accountId: api.owner.accountId, disabled: true })
      return call(operation, {}, { key })
    },
  },
  '429': {
    sentence: 'Rate limit exceeded',
    async provoke(operation) {
      const { id, key } = await make.apiKey(api.db, { accountId: api.owner.accountId })
      await api.db.exec('limit_key', `update api_keys set rate_limit = '1/3600' where id = $1`, [id])
      await api.owner.get('/accounts/me', { headers: { authorization: basic(key) } })
      const response = await call(operation, {}, { key })
      expect(response.headers['retry-after']).toMatch(/^[1-9]\d*$/)
      return response
    },
  },
  default: {
    sentence: 'Accept does not include application/json',
    provoke: (operation) => call(operation, {}, { accept: 'text/html' }),
  },
}

describe.each(operations)('$method $path', (operation) => {
  const own = outcomes[operation.id]?.outcomes ?? {}

  test('has every outcome of the document in the table, and no other', () => {
    const known = operation.outcomes.filter((outcome) => !(outcome in shared))
    expect(Object.keys(own).sort()).toEqual(known.sort())
  })

  const provoked = Object.entries(own).filter(([, { waits }]) => waits === undefined)
  test.each(provoked)('%s', async (name, outcome) => {
    await outcome.first?.(world)
    const response = await call(operation, outcome)
    check(operation, name.split(' ')[0] ?? '', response, outcome.sentence)
    if (outcome.response) expect(response.body).toMatchObject(outcome.response)
  })

  const common = operation.outcomes.filter((outcome) => outcome in shared)
  test.each(common)('%s', async (code) => {
    const { sentence, provoke } = shared[code] as (typeof shared)[string]
    check(operation, code, await provoke(operation), sentence)
  })
})

test('the table in docs/compatibility.md is up to date; `npm test -- contract -u` writes it', async () => {
  const file = fileURLToPath(new URL('../../../docs/compatibility.md', import.meta.url))
  const [written = ''] = readFileSync(file, 'utf8').split(heading)
  await expect(`${written}${heading}\n\n${table()}`).toMatchFileSnapshot(file)
})

test('every operation that the document lacks is marked as an extension, and no other', () => {
  const { paths } = api.app.swagger() as { paths: Record<string, Record<string, Described>> }
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path.replace('/api/v2', '')}`,
      isOurs: operation['x-extension'] === true,
    })),
  )
  const theirs = described.filter(({ isOurs }) => !isOurs).map(({ name }) => name)
  expect(theirs.sort()).toEqual(operations.map(({ method, path }) => `${method} ${path}`).sort())
})

const heading = '## Results of the tests'

function check(operation: Operation, code: string, response: ApiResponse, expected: string | RegExp) {
  expect({ code: response.status, body: response.body }).toMatchObject({
    code: code === 'default' ? 406 : Number(code),
  })
  expect(faultsOf(operation, code, response.body)).toBeUndefined()
  const sentence = response.status < 300 ? response.body.status : response.body.error
  if (typeof expected === 'string') expect(sentence).toBe(expected)
  else expect(sentence).toMatch(expected)
}

type Call = { key?: string; payload?: string; accept?: string }

async function call(operation: Operation, { body, ids = {}, query = '' }: Partial<Outcome>, as: Call = {}) {
  const all: Record<string, string> = { ...world.ids, ...ids }
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => all[name] ?? '')
  const sent = body ?? outcomes[operation.id]?.body
  const payload = as.payload ?? (sent && JSON.stringify(sent))
  return readResponse(
    await api.app.inject({
      method: operation.method as 'GET',
      url: `/api/v2${path}${query}`,
      headers: {
        authorization: basic(as.key ?? api.owner.key),
        accept: as.accept ?? 'application/json',
        'content-type': 'application/json',
      },
      ...(payload === undefined ? {} : { payload }),
    }),
  )
}

/** Returns the outcomes as a table; each row is tested above. */
function table(): string {
  const rows = operations.flatMap((operation) => {
    const { outcomes: own } = outcomes[operation.id] ?? { outcomes: {} }
    const common = operation.outcomes.filter((outcome) => outcome in shared)
    const codes = common.map((code) => (code === 'default' ? '406' : code)).join(', ')
    const name = `\`${operation.method} ${operation.path}\``
    return [
      ...Object.entries(own)
        .sort()
        .map(([outcome, { sentence, waits }]) => [
          name,
          outcome,
          sentenceText(sentence),
          waits ? `open: ${waits}` : 'met',
        ]),
      [name, codes, 'the sentences below', 'met'],
    ]
  })
  const lines = [['operation', 'outcome', 'sentence', 'result'], ['---', '---', '---', '---'], ...rows]
  const words = Object.entries(shared).map(
    ([code, { sentence }]) =>
      `* ${code === 'default' ? '406, for every other error' : code}: ${sentenceText(sentence)}`,
  )
  return `${[
    '`npm test -- contract -u` writes this part, and every run of the tests compares it.',
    'Operations that the vendor does not have:',
    ours().join('\n'),
    "The vendor's operations, and each of their documented outcomes:",
    lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n'),
    'The sentences that operations have in common:',
    words.join('\n'),
  ].join('\n\n')}\n`
}

/** The operations that are marked as extensions in our own document. */
function ours(): string[] {
  const { paths } = api.app.swagger() as { paths: Record<string, Record<string, Described>> }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, described]) => described['x-extension'])
      .map(([method, { summary }]) => `* \`${method.toUpperCase()} ${path.replace('/api/v2', '')}\`: ${summary}`),
  )
}

type Described = { 'x-extension'?: boolean; summary?: string }

function sentenceText(sentence: string | RegExp): string {
  return typeof sentence === 'string' ? `\`${sentence}\`` : `as \`${sentence.source.replaceAll('|', '\\|')}\``
}
