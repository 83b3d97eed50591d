import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, test } from 'vitest'
import { takeTurn } from '../../src/jobs/turns.ts'
import { reportsQueue } from '../../src/reports/momt-reports.jobs.ts'
import { type ApiResponse, basic, readResponse, useApi } from '../api.ts'
import { make } from '../make.ts'
import { faultsOf, type Operation, operations } from './document.ts'
import type { Outcome, OutcomeFixtures } from './outcome.ts'
import { outcomes } from './outcomes.ts'

// Triggers each outcome that the vendor's contract documents, and compares the response with its schema and sentence.

const api = useApi()
let fixtures: OutcomeFixtures

beforeEach(async () => {
  const { owner, db } = api
  const list = await make.list(db, { accountId: owner.accountId, shortCodeId: owner.shortCode.id, name: 'Pantry' })
  await make.subscriber(db, { listId: list.id, phone: 2_065_550_143 })
  const webhook = await make.webhook(db, { listId: list.id })
  const report = await make.momtReport(db, { accountId: owner.accountId })
  const sent = await owner.post(`/lists/${list.id}/messages`, { message: { content: 'Hello' } })
  fixtures = {
    owner,
    ids: {
      list_id: String(list.id),
      phone_number: '2065550143',
      message_id: String((sent.body.message as { id: number }).id),
      webhook_id: String(webhook.id),
      momt_report_id: String(report.id),
      shortcode: owner.shortCode.code,
    },
    async runReports() {
      const rotation = { lastAccount: 0 }
      while (await takeTurn(api.rt, reportsQueue, rotation)) {}
    },
  }
})

type SharedTrigger = (operation: Operation) => Promise<ApiResponse>

/** Outcomes that operations share; `default` represents every other error. */
const shared: Record<string, { sentence: string | RegExp; trigger: SharedTrigger }> = {
  '400': { sentence: /^Malformed request body/, trigger: (operation) => call(operation, {}, { payload: '{"list":' }) },
  '401': {
    sentence: 'API key authorization failure',
    trigger: (operation) => call(operation, {}, { key: 'tatango_key_unknown' }),
  },
  '403': {
    sentence: 'This API key is disabled',
    async trigger(operation) {
      const { key } = await make.apiKey(api.db, { accountId: api.owner.accountId, disabled: true })
      return call(operation, {}, { key })
    },
  },
  '429': {
    sentence: 'Rate limit exceeded',
    async trigger(operation) {
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
    trigger: (operation) => call(operation, {}, { accept: 'text/html' }),
  },
}

describe.each(operations)('$method $path', (operation) => {
  const own = outcomes[operation.id]?.outcomes ?? {}

  test('has exactly the outcomes of the document in the table', () => {
    const known = operation.outcomes.filter((outcome) => !(outcome in shared))
    expect(Object.keys(own).sort()).toEqual(known.sort())
  })

  const triggered = Object.entries(own).filter(([, { unsupported }]) => unsupported === undefined)
  test.each(triggered)('responds as documented: %s', async (name, outcome) => {
    await outcome.prepare?.(fixtures)
    const response = await call(operation, outcome)
    check(operation, name.split(' ')[0] ?? '', response, outcome.sentence)
    if (outcome.response) expect(response.body).toMatchObject(outcome.response)
  })

  const common = operation.outcomes.filter((outcome) => outcome in shared)
  test.each(common)('responds as documented: %s', async (code) => {
    const { sentence, trigger } = shared[code] as (typeof shared)[string]
    check(operation, code, await trigger(operation), sentence)
  })
})

test('docs/compatibility.md contains the current table, which `npm test -- contract -u` writes', async () => {
  const file = fileURLToPath(new URL('../../../docs/compatibility.md', import.meta.url))
  const [handwritten = ''] = readFileSync(file, 'utf8').split(heading)
  await expect(`${handwritten}${heading}\n\n${table()}`).toMatchFileSnapshot(file)
})

test('only operations that the document lacks are marked as extensions', () => {
  const { paths } = api.app.swagger() as { paths: Record<string, Record<string, Described>> }
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path.replace('/api/v2', '')}`,
      isExtension: operation['x-extension'] === true,
    })),
  )
  const vendorOperations = described.filter(({ isExtension }) => !isExtension).map(({ name }) => name)
  expect(vendorOperations.sort()).toEqual(operations.map(({ method, path }) => `${method} ${path}`).sort())
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

async function call(operation: Operation, { body, ids = {}, query = '' }: Partial<Outcome>, options: Call = {}) {
  const idByName: Record<string, string> = { ...fixtures.ids, ...ids }
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => idByName[name] ?? '')
  const validBody = body ?? outcomes[operation.id]?.body
  const payload = options.payload ?? (validBody && JSON.stringify(validBody))
  return readResponse(
    await api.app.inject({
      method: operation.method as 'GET',
      url: `/api/v2${path}${query}`,
      headers: {
        authorization: basic(options.key ?? api.owner.key),
        accept: options.accept ?? 'application/json',
        'content-type': 'application/json',
      },
      ...(payload === undefined ? {} : { payload }),
    }),
  )
}

/** Returns the outcomes as a Markdown table; the tests above check each row. */
function table(): string {
  const rows = operations.flatMap((operation) => {
    const { outcomes: own } = outcomes[operation.id] ?? { outcomes: {} }
    const common = operation.outcomes.filter((outcome) => outcome in shared)
    const codes = common.map((code) => (code === 'default' ? '406' : code)).join(', ')
    const name = `\`${operation.method} ${operation.path}\``
    return [
      ...Object.entries(own)
        .sort()
        .map(([outcome, { sentence, unsupported }]) => [
          name,
          outcome,
          sentenceText(sentence),
          unsupported ? `not supported: ${unsupported}` : 'passes',
        ]),
      [name, codes, 'the sentences below', 'passes'],
    ]
  })
  const lines = [['operation', 'outcome', 'sentence', 'result'], ['---', '---', '---', '---'], ...rows]
  const sentences = Object.entries(shared).map(
    ([code, { sentence }]) =>
      `* ${code === 'default' ? '406, for every other error' : code}: ${sentenceText(sentence)}`,
  )
  return `${[
    '`npm test -- contract -u` writes this part, and each test run compares it.',
    'Operations that the vendor does not have:',
    listExtensions().join('\n'),
    "The vendor's operations, and each of their documented outcomes:",
    lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n'),
    'The sentences that operations share:',
    sentences.join('\n'),
  ].join('\n\n')}\n`
}

/** Returns the operations that our OpenAPI document marks as extensions, as Markdown list items. */
function listExtensions(): string[] {
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
