import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import type { Db } from '../../db/db.ts'
import { type Statement, textOf } from '../../db/sql.ts'
import { findScanEnd, type LogFilter, listAttempts, maxScanned } from './attempts.queries.ts'

const api = useApi()
const at = (seconds: number) => new Date(Date.parse('2026-03-02T10:00:00Z') + seconds * 1_000)

let webhookId = 0
let listId = 0
beforeEach(async () => {
  listId = (await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })).id
  webhookId = (await make.webhook(api.db, { listId })).id
})

const attempt = (given: Omit<Parameters<typeof make.deliveryAttempt>[1], 'webhookId'> = {}) =>
  make.deliveryAttempt(api.db, { webhookId, ...given })

async function idsOf(query: string, caller = api.owner): Promise<number[]> {
  const { status, body } = await caller.get(`/webhook_attempts?${query}`)
  expect(status).toBe(200)
  return (body.attempts as { id: number }[]).map(({ id }) => id)
}

describe('the log', () => {
  test('lists attempts latest first, with what each filter selects', async () => {
    const first = await attempt({ startedAt: at(0), phone: 2_065_550_101, position: 7 })
    const second = await attempt({ startedAt: at(1), outcome: 'failed', type: 'unsubscribe' })
    const third = await attempt({ startedAt: at(1), outcome: 'dead', type: 'cleaned' })
    expect(await idsOf('')).toEqual([third.id, second.id, first.id])
    expect(await idsOf('outcomes=failed,dead')).toEqual([third.id, second.id])
    expect(await idsOf('outcomes=dead')).toEqual([third.id])
    expect(await idsOf('types=subscribe,%20cleaned')).toEqual([third.id, first.id])
    expect(await idsOf('phone_number=(206)%20555-0101')).toEqual([first.id])
    expect(await idsOf('position=7')).toEqual([first.id])
    expect(await idsOf('since=2026-03-02T10:00:01Z')).toEqual([third.id, second.id])
    expect(await idsOf('until=2026-03-02T02:00:01-08:00')).toEqual([first.id])
    expect(await idsOf(`webhook_id=${webhookId}&outcomes=failed&limit=5`)).toEqual([second.id])
    const other = await make.webhook(api.db, { listId })
    expect(await idsOf(`webhook_id=${other.id}`)).toEqual([])
    expect(await idsOf(`webhook_id=${other.id}&position=7`)).toEqual([])
    expect(await idsOf('', api.stranger)).toEqual([])
    expect(await idsOf('position=7', api.stranger)).toEqual([])
  })

  test('has pages without gap or repetition, also within a millisecond', async () => {
    const ids: number[] = []
    for (let n = 0; n < 5; n++) ids.unshift((await attempt({ startedAt: at(Math.floor(n / 3)) })).id)
    const seen: number[] = []
    for (let before = ''; ; ) {
      const { body } = await api.owner.get(`/webhook_attempts?limit=2${before}`)
      seen.push(...(body.attempts as { id: number }[]).map(({ id }) => id))
      if (body.next_before === null) break
      before = `&before=${body.next_before}`
    }
    expect(seen).toEqual(ids)
  })

  test('searches a limited number of attempts per request, and continues after them', async () => {
    const rare = await attempt({ startedAt: at(-1), type: 'cleaned' })
    await api.db.exec(
      'copy_attempts',
      `insert into delivery_attempts (account_id, endpoint_id, position, type, is_test, attempt, outcome, started_at, duration_ms,
                                      request_headers)
       select account_id, endpoint_id, n, 'subscribe', false, 1, 'delivered', $1::timestamptz + n * interval '1 ms', 1, '{}'
         from delivery_attempts, generate_series(1, ${maxScanned}) n`,
      [at(0)],
    )
    const { body } = await api.owner.get('/webhook_attempts?types=cleaned')
    expect(body.attempts).toEqual([])
    expect(await idsOf(`types=cleaned&before=${body.next_before}`)).toEqual([rare.id])
  })

  test.each([
    ['types=subscribed', 'Types has the unknown value subscribed'],
    ['outcomes=delivered,', 'Outcomes has the unknown value '],
    ['phone_number=206', 'Phone number is not a phone number'],
    ['since=2026-03-02', 'Since must be a time with an offset'],
    ['until=yesterday', 'Until must be a time with an offset'],
    ['before=12', 'Before must be a next_before'],
    ['limit=1001', 'Limit'],
    ['position=0', 'Position'],
  ])('rejects %s', async (query, error) => {
    const { status, body } = await api.owner.get(`/webhook_attempts?${query}`)
    expect(status).toBe(422)
    expect(body.error).toContain(error)
  })

  test('of an unknown or foreign webhook is a 404', async () => {
    expect((await api.owner.get('/webhook_attempts?webhook_id=999999')).body.code).toBe('webhook_not_found')
    expect((await api.stranger.get(`/webhook_attempts?webhook_id=${webhookId}`)).status).toBe(404)
  })
})

test('an attempt has its request and response, and stays when its webhook is deleted', async () => {
  const { id } = await attempt({ startedAt: at(0) })
  const path = `/webhook_attempts/${id}`
  const expected = {
    id,
    position: 1,
    type: 'subscribe',
    webhook_id: webhookId,
    list_id: listId,
    phone_number: '2065550143',
    is_test: false,
    attempt: 1,
    outcome: 'delivered',
    started_at: '2026-03-02T02:00:00.000-08:00',
    duration_ms: 12,
    url: 'https://hooks.cedar.example/',
    status: 200,
    error: null,
    request: { headers: { 'webhook-id': 'evt_1' }, body: null },
    response: { headers: { server: 'cedar' }, body: 'ok', body_bytes: 2 },
  }
  expect((await api.owner.get(path)).body).toEqual({ status: 'OK', attempt: expected })
  expect((await api.stranger.get(path)).body.error).toBe('Attempt not found')
  await api.owner.delete(`/lists/${listId}/webhooks/${webhookId}`)
  expect((await api.owner.get(path)).body.attempt).toEqual({ ...expected, webhook_id: null, list_id: null })
})

const all: LogFilter = {
  accountId: 1,
  endpointId: null,
  phone: null,
  position: null,
  types: null,
  outcomes: null,
  since: null,
}
const filters: [string, Partial<LogFilter>, string][] = [
  ['the account', {}, 'delivery_attempts_account'],
  ['failures', { outcomes: ['failed', 'dead'] }, 'delivery_attempts_failed'],
  ['a webhook', { endpointId: 1 }, 'delivery_attempts_endpoint'],
  ['failures of a webhook', { endpointId: 1, outcomes: ['dead'] }, 'delivery_attempts_endpoint_failed'],
  ['a phone', { phone: 2_065_550_101 }, 'delivery_attempts_phone'],
  ['a phone at a webhook', { phone: 2_065_550_101, endpointId: 1 }, 'delivery_attempts_phone'],
  ['an event', { position: 5 }, 'delivery_attempts_position'],
]

test.each(filters)(
  'the log of %s is read by its index, without a sort of all attempts',
  async (_name, filter, index) => {
    await api.db.exec(
      'fill_log',
      `insert into delivery_attempts (account_id, endpoint_id, position, type, phone, is_test, attempt, outcome, started_at, duration_ms,
                                    request_headers)
     select n % 3, n % 9, n / 3, 'subscribe', 2065550100 + n % 1000, false, 1, case when n % 50 = 0 then 'dead' else 'delivered' end,
            $1::timestamptz + n * interval '1 second', 1, '{}'
       from generate_series(1, 20000) n`,
      [at(0)],
    )
    await api.db.exec('analyze_log', 'analyze delivery_attempts')
    const before = { startedAt: at(100_000), id: 0 }
    for (const read of [listAttempts, findScanEnd]) {
      const plan = await planOf((db) => read(db, { ...all, ...filter }, before, 100))
      expect(plan).toContain(`using ${index} on delivery_attempts`)
      // the page itself, `a` or `s`, may be sorted again after the join
      if (filter.position === undefined) expect(plan).not.toMatch(/Sort Key: (?![as]\.)/)
    }
  },
)

/** Returns the generic plan of the statement that `read` runs. */
async function planOf(read: (db: Db) => Promise<unknown>): Promise<string> {
  let text = ''
  const capture = async (_name: string, statement: Statement) => {
    text = textOf(statement)
    return undefined as never
  }
  await read({ ...api.db, many: capture, maybeOne: capture })
  const { rows } = await api.db.withClient((client) => client.query(`explain (generic_plan, costs off) ${text}`))
  return rows.map((row) => row['QUERY PLAN']).join('\n')
}
