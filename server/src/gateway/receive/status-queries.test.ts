import { describe, expect, type TestContext, test } from 'vitest'
import { make } from '../../../test/make.ts'
import { startCarrier, startOddCarrier } from '../../../test/odd-carrier.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import type { Db } from '../../db/db.ts'
import { wake } from '../../db/wake.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import { messageState } from '../../smpp/pdu/flags.ts'
import type { QuerySm, RequestPdu } from '../../smpp/pdu/pdu.ts'
import type { ResponseFields } from '../../smpp/session.types.ts'
import { startGateway } from '../gateway.ts'

const first = 2_065_560_001

// Most of the time of these tests is spent waiting for rounds and deadlines, so they run beside each other.

/** Starts the send path with a connection that can query texts after an hour, as soon as `startQueries` was called. */
async function start() {
  // a query without a response before the deadline counts, so the deadline must be generous for a loaded machine
  const sending = await startSending({ binds: 1, responseDeadlineMs: 3_000, window: 10 })
  await sending.db.exec(
    'set_up_connection',
    `insert into connections (name, serves_all, query_sm, query_after_s, created_at, updated_at)
     values ('default', true, false, 3600, now(), now())`,
  )
  return sending
}

/** Makes all texts, or those of a message, two hours old. */
const ageTexts = ({ db }: { db: Db }, messageId: number | null = null) =>
  db.exec(
    'age_texts',
    `update message_log set submitted_at = submitted_at - interval '2 hours' where $1::bigint is null or message_id = $1`,
    [messageId],
  )

/** Switches query_sm on. A round that began before the texts were old would be the only one for an hour. */
const startQueries = ({ db }: { db: Db }) =>
  db.tx(async (tx) => {
    await tx.exec('switch_on', `update connections set query_sm = true, version = version + 1`)
    await wake(tx, 'connections')
  })

const makeRoundDue = ({ db }: { db: Db }) =>
  db.exec('make_round_due', `update query_rounds set due_at = now(), lease_until = null`)

type OnQuery = (query: QuerySm) => ResponseFields | undefined

describe.concurrent('status queries to a carrier', () => {
  /** Starts a carrier that responds to each query_sm with the returned fields, or not at all. */
  async function startCarrierFor({ onTestFinished }: TestContext, phones: number, onQuery: OnQuery) {
    const sending = await start()
    onTestFinished(sending.stop)
    const statusQueries: QuerySm[] = []
    const carrier = await startOddCarrier(sending.rt, (_, n) => ({ message_id: `00ID${n}` }))
    onTestFinished(carrier.stop)
    const bind = await carrier.anyBind()
    bind.on('request', (pdu: RequestPdu) => {
      if (pdu.command !== 'query_sm') return
      statusQueries.push(pdu)
      const fields = onQuery(pdu)
      if (fields) bind.respond(pdu, fields)
    })
    for (let n = 0; n < phones; n++) await sending.subscribe(first + n)
    return { sending, carrier, statusQueries }
  }

  test.for([
    ['delivered', { message_state: messageState.DELIVERED }, { delivered: 1 }, 'delivered'],
    ['undeliverable', { message_state: messageState.UNDELIVERABLE, error_code: 1 }, { bounced: 1 }, 'bounced hard'],
    ['expired', { message_state: messageState.EXPIRED }, { expired: 1 }, 'expired soft'],
  ] as const)('settle a text that is reported as %s', async ([, fields, counters, state], context) => {
    const { sending, statusQueries } = await startCarrierFor(context, 1, ({ message_id }) => ({
      message_id,
      ...fields,
    }))
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    await ageTexts(sending)
    await startQueries(sending)
    await sending.waitForCounters(id, counters)
    expect(await sending.states(id)).toEqual({ [first]: state })
    // with the id as spelled in the response to the submit_sm, and the text's source address
    expect(statusQueries).toMatchObject([
      { message_id: '00ID1', source_addr: sending.shortCode.code, source_addr_ton: 3 },
    ])
  })

  test.for<[string, ResponseFields]>([
    ['ENROUTE', { message_state: messageState.ENROUTE }],
    ['UNKNOWN', { message_state: messageState.UNKNOWN }],
    ['ESME_RQUERYFAIL', { command_status: commandStatus.ESME_RQUERYFAIL }],
  ])('change nothing after the response %s, and are repeated in the next round', async ([, fields], context) => {
    const { sending, statusQueries } = await startCarrierFor(context, 1, () => fields)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    await ageTexts(sending)
    await startQueries(sending)
    await waitFor(() => statusQueries.length === 1)
    // the round of the day is finished, and the next one is due in an hour
    await waitFor(async () => {
      const rounds = `select from query_rounds where cursor_log_id = 0 and due_at > now() + interval '50 minutes'`
      return (await sending.db.many('rounds', rounds)).length === 1
    })
    expect((await sending.counters(id)).sent).toBe(1)
    await makeRoundDue(sending)
    await waitFor(() => statusQueries.length === 2)
  })

  test('are sent once per round for each old text, and repeated if a response is missing', async (context) => {
    let isFirst = true
    const { sending, statusQueries } = await startCarrierFor(context, 45, (query) => {
      if (query.message_id !== '00ID30') return { message_id: query.message_id, message_state: 1 }
      if (!isFirst) return { message_id: query.message_id, message_state: 2 }
      isFirst = false
      return undefined
    })
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 45 })
    await ageTexts(sending)
    await startQueries(sending)
    await sending.waitForCounters(id, { sent: 44, delivered: 1 })
    await waitFor(() => statusQueries.length === 46)
    const counts = new Map<string, number>()
    for (const { message_id } of statusQueries) counts.set(message_id, (counts.get(message_id) ?? 0) + 1)
    expect(counts.size).toBe(45)
    expect(counts.get('00ID30')).toBe(2)
  })

  test('skip a text that never gets a response', async (context) => {
    const { sending, statusQueries } = await startCarrierFor(context, 3, ({ message_id }) =>
      message_id === '00ID2' ? undefined : { message_id, message_state: 2 },
    )
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 3 })
    await ageTexts(sending)
    await startQueries(sending)
    await sending.waitForCounters(id, { sent: 1, delivered: 2 })
    expect(statusQueries.filter(({ message_id }) => message_id === '00ID2')).toHaveLength(2)
  })

  test('skip all parts of a text that never gets a response', async (context) => {
    const silent = ['00ID1', '00ID2']
    const { sending, statusQueries } = await startCarrierFor(context, 2, ({ message_id }) =>
      silent.includes(message_id) ? undefined : { message_id, message_state: messageState.DELIVERED },
    )
    const id = await sending.broadcast('x'.repeat(200))
    await sending.waitForCounters(id, { sent: 2 })
    // parts of two texts may be submitted alternately, so the ids of the first text are read from the table
    const ofFirst = await sending.db.many<{ smscId: string }>(
      'of_first',
      'select spelling as "smscId" from submits where log_id = (select min(log_id) from submits)',
    )
    silent.splice(0, 2, ...ofFirst.map(({ smscId }) => smscId))
    await ageTexts(sending)
    await startQueries(sending)
    await sending.waitForCounters(id, { sent: 1, delivered: 1 })
    expect(statusQueries.filter(({ message_id }) => silent.includes(message_id))).toHaveLength(2)
  })

  test('are not sent for recent texts or for delivered parts', async (context) => {
    const { sending, carrier, statusQueries } = await startCarrierFor(context, 1, ({ message_id }) => ({
      message_id,
      message_state: messageState.DELIVERED,
    }))
    const id = await sending.broadcast('x'.repeat(200))
    await sending.waitForCounters(id, { sent: 1 })
    const recent = await sending.broadcast()
    await sending.waitForCounters(recent, { sent: 1 })
    await carrier.receipt('id:00ID1 stat:DELIVRD err:000')
    await ageTexts(sending, id)
    await startQueries(sending)
    await sending.waitForCounters(id, { delivered: 1 })
    expect(statusQueries.map((query) => query.message_id)).toEqual(['00ID2'])
    expect((await sending.counters(recent)).sent).toBe(1)
  })

  test('are not sent unless the connection has query_sm', async (context) => {
    const { sending, statusQueries } = await startCarrierFor(context, 1, () => ({}))
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    await ageTexts(sending)
    await startQueries(sending)
    await waitFor(() => statusQueries.length === 1)
    const rounds = await sending.db.one<{ first: boolean }>('first', `select count(*) = 1 as first from query_rounds`)
    expect(rounds).toEqual({ first: true })
  })
})

test.concurrent('missing responses of one carrier do not delay queries to another', async () => {
  // longer than the time limit of the test, which therefore fails if anything waits for the missing response
  const sending = await startSending({ binds: 1, responseDeadlineMs: 120_000 })
  const startCarrierThat = async (responds: boolean) => {
    const statusQueries: RequestPdu[] = []
    const { server, bound, port } = await startCarrier((_, n) => ({ message_id: `${responds} ${n}` }))
    const { id } = await make.connection(sending.db, { port })
    await sending.db.exec('query', 'update connections set query_after_s = 3600 where id = $1', [id])
    const listen = async () => {
      const bind = await waitFor(() => [...bound][0], { what: 'a bind' })
      bind.on('request', (pdu: RequestPdu) => {
        if (pdu.command !== 'query_sm') return
        statusQueries.push(pdu)
        if (responds) bind.respond(pdu, { message_id: pdu.message_id, message_state: messageState.ENROUTE })
      })
    }
    return { statusQueries, listen, server }
  }
  const [responding, silent] = [await startCarrierThat(true), await startCarrierThat(false)]
  const { rt } = sending
  const gateway = await startGateway({ ...rt, config: { ...rt.config, smpp: undefined } })
  try {
    for (const { listen } of [responding, silent]) await listen()
    for (let n = 0; n < 60; n++) await sending.subscribe(first + n)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 60 })
    await ageTexts(sending)
    await startQueries(sending)
    // more than one start queries
    await waitFor(() => responding.statusQueries.length > 20, { what: 'queries' })
    expect(silent.statusQueries).toHaveLength(1)
  } finally {
    await gateway.stop()
    for (const { server } of [responding, silent]) await server.close()
    await sending.stop()
  }
})

test.concurrent('status queries to the simulator settle texts whose receipts are never sent', async (context) => {
  const sending = await start()
  context.onTestFinished(sending.stop)
  await sending.startGateway()
  await sending.subscribe(2_065_550_103, first)
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 1, delivered: 1 })
  await ageTexts(sending)
  await startQueries(sending)
  await sending.waitForCounters(id, { sent: 0, delivered: 2 })
})
