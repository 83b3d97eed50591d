import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { make } from '../../../test/make.ts'
import { type Responder, startCarrier, startOddCarrier } from '../../../test/odd-carrier.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import { messageState } from '../../smpp/pdu/flags.ts'
import type { QuerySm, RequestPdu } from '../../smpp/pdu/pdu.ts'
import type { ResponseFields } from '../../smpp/session.types.ts'
import { startGateway } from '../gateway.ts'

let sending: Awaited<ReturnType<typeof startSending>>
const first = 2_065_560_001

/** A connection that is asked for texts an hour old, and texts that are two. */
async function start(settings = '', window = 10) {
  // a query without a response in time counts as silent, so the deadline must be far from what a loaded machine needs
  sending = await startSending({ binds: 1, responseDeadlineMs: 3_000, window })
  await sending.db.exec(
    'set_up_connection',
    `insert into connections (name, serves_all, query_sm, query_after_s, created_at, updated_at)
     values ('default', true, true, 3600, now(), now())`,
  )
  if (settings) await sending.db.exec('settings', `update connections set ${settings}`)
}
const age = () => sending.db.exec('age', `update message_log set submitted_at = submitted_at - interval '2 hours'`)
const dueNow = () => sending.db.exec('due_now', `update query_rounds set due_at = now(), lease_until = null`)

describe('a carrier with status queries', () => {
  let carrier: Awaited<ReturnType<typeof startOddCarrier>>
  let statusQueries: QuerySm[]
  afterEach(async () => {
    await carrier.stop()
    await sending.stop()
  })

  type Told = (question: QuerySm) => ResponseFields | undefined

  async function startAsked(handsets: number, told: Told, respond: Responder = (_, n) => ({ message_id: `00ID${n}` })) {
    statusQueries = []
    carrier = await startOddCarrier(sending.rt, respond)
    const bind = await carrier.anyBind()
    bind.on('request', (pdu: RequestPdu) => {
      if (pdu.command !== 'query_sm') return
      statusQueries.push(pdu)
      const fields = told(pdu)
      if (fields) bind.respond(pdu, fields)
    })
    for (let n = 0; n < handsets; n++) await sending.subscribe(first + n)
  }

  test.each([
    ['delivered', { message_state: messageState.DELIVERED }, { delivered: 1 }, 'delivered'],
    ['undeliverable', { message_state: messageState.UNDELIVERABLE, error_code: 1 }, { bounced: 1 }, 'bounced hard'],
    ['expired', { message_state: messageState.EXPIRED }, { expired: 1 }, 'expired soft'],
  ])('tells that a text is %s', async (_, fields, counters, state) => {
    await start()
    await startAsked(1, ({ message_id }) => ({ message_id, ...fields }))
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 1 })
    await age()
    await sending.untilCounted(id, counters)
    expect(await sending.states(id)).toEqual({ [first]: state })
    // as the response spelt it, and from whom it was
    expect(statusQueries).toMatchObject([
      { message_id: '00ID1', source_addr: sending.shortCode.code, source_addr_ton: 3 },
    ])
  })

  test.each<[string, ResponseFields]>([
    ['it is on its way', { message_state: messageState.ENROUTE }],
    ['it is not known any more', { message_state: messageState.UNKNOWN }],
    ['questions are not answered', { command_status: commandStatus.ESME_RQUERYFAIL }],
  ])('changes nothing by saying that %s, and is asked again later', async (_, fields) => {
    await start()
    await startAsked(1, () => fields)
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 1 })
    await age()
    await waitFor(() => statusQueries.length === 1)
    // the day is through, and begins anew in an hour
    await waitFor(async () => {
      const rounds = `select from query_rounds where cursor_log_id = 0 and due_at > now() + interval '50 minutes'`
      return (await sending.db.many('rounds', rounds)).length === 1
    })
    expect((await sending.counters(id)).sent).toBe(1)
    await dueNow()
    await waitFor(() => statusQueries.length === 2)
  })

  test('is queried for all texts that are old enough, once in each round, although a response fails to come', async () => {
    await start()
    let silent = true
    await startAsked(45, (question) => {
      if (question.message_id !== '00ID30') return { message_id: question.message_id, message_state: 1 }
      if (!silent) return { message_id: question.message_id, message_state: 2 }
      silent = false
      return undefined
    })
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 45 })
    await age()
    await sending.untilCounted(id, { sent: 44, delivered: 1 })
    await waitFor(() => statusQueries.length === 46)
    const asked = new Map<string, number>()
    for (const { message_id } of statusQueries) asked.set(message_id, (asked.get(message_id) ?? 0) + 1)
    expect(asked.size).toBe(45)
    expect(asked.get('00ID30')).toBe(2)
  })

  test('that never responds for one text is queried for the others', async () => {
    await start()
    await startAsked(3, ({ message_id }) => (message_id === '00ID2' ? undefined : { message_id, message_state: 2 }))
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 3 })
    await age()
    await sending.untilCounted(id, { sent: 1, delivered: 2 })
    expect(statusQueries.filter(({ message_id }) => message_id === '00ID2')).toHaveLength(2)
  })

  test('that never responds for a text in parts is queried for the others', async () => {
    await start()
    const silent = ['00ID1', '00ID2']
    await startAsked(2, ({ message_id }) =>
      silent.includes(message_id) ? undefined : { message_id, message_state: messageState.DELIVERED },
    )
    const id = await sending.broadcast('x'.repeat(200))
    await sending.untilCounted(id, { sent: 2 })
    // a window of two parts is not sure to keep those of one text together
    const ofFirst = await sending.db.many<{ smscId: string }>(
      'of_first',
      'select spelling as "smscId" from submits where log_id = (select min(log_id) from submits)',
    )
    silent.splice(0, 2, ...ofFirst.map(({ smscId }) => smscId))
    await age()
    await sending.untilCounted(id, { sent: 1, delivered: 1 })
    expect(statusQueries.filter(({ message_id }) => silent.includes(message_id))).toHaveLength(2)
  })

  test('is not queried for young texts, nor for parts that have arrived', async () => {
    await start()
    await startAsked(1, ({ message_id }) => ({ message_id, message_state: messageState.DELIVERED }))
    const id = await sending.broadcast('x'.repeat(200))
    await sending.untilCounted(id, { sent: 1 })
    const young = await sending.broadcast()
    await sending.untilCounted(young, { sent: 1 })
    await carrier.receipt('id:00ID1 stat:DELIVRD err:000')
    await sending.db.exec(
      'age_one',
      `update message_log set submitted_at = submitted_at - interval '2 hours' where message_id = $1`,
      [id],
    )
    await sending.untilCounted(id, { delivered: 1 })
    expect(statusQueries.map((question) => question.message_id)).toEqual(['00ID2'])
    expect((await sending.counters(young)).sent).toBe(1)
  })

  test('is not queried unless its connection says so', async () => {
    await start('query_sm = false')
    await startAsked(1, () => ({}))
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 1 })
    await age()
    await sending.db.exec('switch_on', `update connections set query_sm = true, version = version + 1`)
    await waitFor(() => statusQueries.length === 1)
    const rounds = await sending.db.one<{ first: boolean }>('first', `select count(*) = 1 as first from query_rounds`)
    expect(rounds).toEqual({ first: true })
  })
})

test('a carrier without any response delays no queries to another', async () => {
  // longer than the test may take: what waits for the missing response fails it
  sending = await startSending({ binds: 1, responseDeadlineMs: 120_000 })
  const asked = async (answers: boolean) => {
    const statusQueries: RequestPdu[] = []
    const { server, bound, port } = await startCarrier((_, n) => ({ message_id: `${answers} ${n}` }))
    const { id } = await make.connection(sending.db, { port })
    await sending.db.exec('ask', 'update connections set query_sm = true, query_after_s = 3600 where id = $1', [id])
    const listen = async () => {
      const bind = await waitFor(() => [...bound][0], { what: 'a bind' })
      bind.on('request', (pdu: RequestPdu) => {
        if (pdu.command !== 'query_sm') return
        statusQueries.push(pdu)
        if (answers) bind.respond(pdu, { message_id: pdu.message_id, message_state: messageState.ENROUTE })
      })
    }
    return { statusQueries, listen, server }
  }
  const [quick, silent] = [await asked(true), await asked(false)]
  const { rt } = sending
  const gateway = await startGateway({ ...rt, config: { ...rt.config, smpp: undefined } })
  try {
    for (const { listen } of [quick, silent]) await listen()
    for (let n = 0; n < 60; n++) await sending.subscribe(first + n)
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 60 })
    await age()
    // more than one turn asks for
    await waitFor(() => quick.statusQueries.length > 20, { what: 'queries' })
    expect(silent.statusQueries).toHaveLength(1)
  } finally {
    await gateway.stop()
    for (const { server } of [quick, silent]) await server.close()
    await sending.stop()
  }
})

describe('the simulator', () => {
  let gateway: Awaited<ReturnType<typeof sending.startGateway>>
  beforeEach(async () => {
    await start()
    gateway = await sending.startGateway()
  })
  afterEach(async () => {
    await gateway.stop()
    await sending.stop()
  })

  test('reports texts whose receipts never come', async () => {
    await sending.subscribe(2_065_550_103, first)
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 1, delivered: 1 })
    await age()
    await sending.untilCounted(id, { sent: 0, delivered: 2 })
  })
})
