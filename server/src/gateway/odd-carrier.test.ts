import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Responder, startOddCarrier } from '../../test/odd-carrier.ts'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { wake } from '../db/wake.ts'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import { dataSm, deliverSm, enquireLink } from '../smpp/pdu/pdu.ts'

// Carriers that respond late, twice, without content or with garbage. None of this may affect other texts.

let sending: Awaited<ReturnType<typeof startSending>>
let carrier: Awaited<ReturnType<typeof startOddCarrier>>

async function start(respond: Responder, options: Parameters<typeof startSending>[0] = {}) {
  sending = await startSending({ binds: 1, responseDeadlineMs: 500, ...options })
  carrier = await startOddCarrier(sending.rt, respond)
}
afterEach(async () => {
  await carrier.stop()
  await sending.stop()
})

/** Waits until a session waits for a lock; on a connection of its own, because a transaction reads the activity once. */
async function waitUntilBlocked() {
  const blocked = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  await waitFor(async () => (await sending.db.many('blocked', blocked)).length > 0, { what: 'a session to be blocked' })
}

const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_560_001 + n)
const accept: Responder = (_, ordinal) => ({ message_id: `id${ordinal}` })
const longText = 'x'.repeat(400)

describe('receipts and MOs', () => {
  beforeEach(async () => {
    await start(accept)
    await sending.subscribe(...phones(1))
  })

  test.each([
    ['a receipt with a NUL in the error', 'id:id1 stat:DELIVRD err:0\0x text:'],
    ['a receipt with a NUL in the id and the date', 'id:id\0x1 submit date:26\0x01 stat:DELIVRD err:000'],
    ['a receipt with an id of many kilobytes', Buffer.alloc(0)],
  ])('%s gets a response and does not delay the next receipt', async (_, text) => {
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    const tlvs = text.length === 0 ? { receipted_message_id: 'f'.repeat(60_000), message_state: 2 } : undefined
    expect(await carrier.receipt(text, tlvs ? { tlvs } : {})).toBe(0)
    expect(await carrier.receipt('id:id1 stat:DELIVRD err:000')).toBe(0)
    await sending.waitForCounters(id, { delivered: 1 })
  })

  test.each([
    ['a receipt', 'receipts', 'id:nobody stat:DELIVRD err:000', 4],
    ['an MO', 'inbound_messages', 'Hello', 0],
  ])('%s gets a response only when it is durable', async (_, table, text, esm_class) => {
    let hasResponse = false
    let response: Promise<number> | undefined
    await sending.db.tx(async (tx) => {
      await tx.exec(`lock_${table}`, `lock table ${table} in share mode`)
      response = carrier.receipt(text, { esm_class }).finally(() => {
        hasResponse = true
      })
      await waitUntilBlocked()
      // an earlier response would have arrived before this one
      await (await carrier.anyBind()).send(enquireLink())
      expect(hasResponse).toBe(false)
    })
    expect(await response).toBe(0)
    expect(await sending.db.many(`rows_of_${table}`, `select from ${table}`)).toHaveLength(1)
  })

  test('receipts and MOs are accepted as data_sm', async () => {
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 1 })
    const addresses = { source_addr: '12065560001', destination_addr: sending.shortCode.code }
    const sendDataSm = async (fields: Parameters<typeof dataSm>[0]) =>
      (await (await carrier.anyBind()).send(dataSm({ ...fields, ...addresses }))).command_status
    const receiptTlvs = { receipted_message_id: 'id1', message_state: 2 }
    expect(await sendDataSm({ esm_class: 4, tlvs: receiptTlvs, destination_addr: '' })).toBe(0)
    await sending.waitForCounters(id, { delivered: 1 })
    expect(await sendDataSm({ tlvs: { message_payload: Buffer.from('STOP') }, destination_addr: '' })).toBe(0)
    const mo = await sending.db.one('mo', 'select phone, content from inbound_messages')
    expect(mo).toEqual({ phone: 2_065_560_001, content: 'STOP' })
  })

  test('an unreadable receipt gets a response', async () => {
    expect(await carrier.receipt('your message was most certainly delivered')).toBe(0)
  })
})

describe('texts are sent although the SMSC assigns', () => {
  test.each([
    ['no ids', ''],
    ['the same id to all', 'same'],
  ])('%s', async (_, messageId) => {
    await start(() => ({ message_id: messageId }))
    await sending.subscribe(...phones(3))
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { sent: 3 })
  })
})

test('texts bounce if their sender does not fit into a PDU, and later texts are sent', async () => {
  await start(accept)
  await sending.subscribe(...phones(2))
  const setCode = (code: string) =>
    sending.db.exec('set_code', 'update short_codes set code = $2 where id = $1', [sending.shortCode.id, code])
  await setCode('7'.repeat(30))
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { bounced: 2 })
  expect(carrier.submits).toEqual([])
  await setCode('77777')
  const next = await sending.broadcast()
  await sending.waitForCounters(next, { sent: 2 })
})

test('an MO with data_coding 0 is decoded by the charset of the connection', async () => {
  await start(accept)
  const destination_addr = sending.shortCode.code
  const short_message = Buffer.from('caf\u00e9 @ $5', 'latin1')
  const receive = async () => {
    await (await carrier.anyBind()).send(deliverSm({ source_addr: '12065560001', destination_addr, short_message }))
    const last = 'select content from inbound_messages order by id desc limit 1'
    return (await sending.db.one<{ content: string }>('last_mo', last)).content
  }
  expect(await receive()).toBe('café ¡ ¤5')
  await sending.db.exec('latin1', `update connections set charset = 'latin1', version = version + 1`)
  await sending.db.tx((tx) => wake(tx, 'connections'))
  await waitFor(async () => (await receive()) === 'café @ $5', { what: 'an MO decoded as Latin-1' })
})

test('MOs of one phone are stored in order of arrival', async () => {
  await start(accept)
  // the first insert waits for a lock, and there are enough database connections for the second to overtake it
  await sending.db.exec(
    'wait',
    `create function delay_stop() returns trigger language plpgsql as
       $$ begin if new.content = 'STOP' then perform pg_advisory_xact_lock(74121); end if; return new; end $$`,
  )
  await sending.db.exec(
    'trigger',
    'create trigger delay_stop before insert on inbound_messages for each row execute function delay_stop()',
  )
  const bind = await carrier.anyBind()
  const write = (content: string) =>
    bind.send(
      deliverSm({
        source_addr: '12065560001',
        destination_addr: sending.shortCode.code,
        short_message: Buffer.from(content),
      }),
    )
  const writing = await sending.db.tx(async (tx) => {
    await tx.one('lock', 'select pg_advisory_xact_lock(74121)')
    const written = Promise.all([write('STOP'), write('HELP')])
    await waitUntilBlocked()
    // the PDUs before this one are being handled when its response is sent
    await bind.send(enquireLink())
    expect(await sending.db.many('stored', 'select content from inbound_messages')).toEqual([])
    return { written }
  })
  const responses = await writing.written
  expect(responses.map((response) => response.command_status)).toEqual([0, 0])
  const kinds = `select kind from inbound_messages where interpreted_at is not null order by interpreted_at`
  const interpreted = await waitFor(async () => {
    const rows = await sending.db.many<{ kind: string }>('kinds', kinds)
    return rows.length === 2 && rows
  })
  expect(interpreted).toEqual([{ kind: 'opt_out' }, { kind: 'help' }])
})

test('a STOP gets its response only when the opt-out is committed', async () => {
  await start(accept)
  const [phone = 0] = phones(1)
  await sending.subscribe(phone)
  const bind = await carrier.anyBind()
  let commandStatusOfStop: number | undefined
  let responded = Promise.resolve()
  await sending.db.tx(async (tx) => {
    await tx.exec('lock', 'select from subscribers where phone = $1 for update', [phone])
    const stop = deliverSm({
      source_addr: `1${phone}`,
      destination_addr: sending.shortCode.code,
      short_message: Buffer.from('Stop!'),
    })
    responded = bind.send(stop).then(async ({ command_status }) => {
      commandStatusOfStop = command_status
    })
    await waitUntilBlocked()
    // an ordinary MO gets its response meanwhile
    const other = dataSm({
      source_addr: '12065560009',
      destination_addr: sending.shortCode.code,
      tlvs: { message_payload: Buffer.from('Thanks') },
    })
    expect((await bind.send(other)).command_status).toBe(0)
    expect(commandStatusOfStop).toBeUndefined()
  })
  await responded
  expect(commandStatusOfStop).toBe(0)
  const optedOut = `select from inbound_messages where opted_out_at is not null`
  expect(await sending.db.many('opted_out', optedOut)).toHaveLength(1)
})

test('a response that arrives after its deadline still counts', async () => {
  await start(() => undefined)
  await sending.subscribe(...phones(1))
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { unknown: 1 })
  const [submit] = carrier.submits
  if (!submit) throw new Error('nothing was submitted')
  const bind = await carrier.anyBind()
  bind.respond(submit, { message_id: 'late' })
  await sending.waitForCounters(id, { sent: 1, unknown: 0 })
  await carrier.receipt('id:late stat:DELIVRD err:000')
  await sending.waitForCounters(id, { delivered: 1 })
  expect(carrier.submits).toHaveLength(1)
})

describe('a text of three parts', () => {
  const sequenceOf = (pdu: { short_message: Buffer }) => pdu.short_message[5] as number

  test('is sent completely although one part is throttled at first, and its receipts count', async () => {
    let throttled = 0
    await start((pdu, ordinal) => {
      if (sequenceOf(pdu) === 2 && throttled++ < 2) return { command_status: commandStatus.ESME_RTHROTTLED }
      return { message_id: `id${ordinal}` }
    })
    await sending.subscribe(...phones(1))
    const id = await sending.broadcast(longText)
    await waitFor(() => carrier.submits.length >= 3)
    expect(await carrier.receipt('id:id1 stat:DELIVRD err:000')).toBe(0)
    await sending.waitForCounters(id, { sent: 1 })
    expect(carrier.submits.map(sequenceOf)).toEqual([1, 2, 3, 2, 2])
    await carrier.receipt('id:id3 stat:DELIVRD err:000')
    await carrier.receipt('id:id5 stat:DELIVRD err:000')
    await sending.waitForCounters(id, { delivered: 1 })
  })

  test('is retried on the bind of its other parts, also if another bind has more free window slots', async () => {
    let isShortInFlight = false
    await start(
      (pdu, ordinal) => {
        if (pdu.esm_class !== 0x40) {
          isShortInFlight = true
          return undefined
        }
        if (sequenceOf(pdu) === 2 && !isShortInFlight) return { command_status: commandStatus.ESME_RTHROTTLED }
        return { message_id: `id${ordinal}` }
      },
      { binds: 2, responseDeadlineMs: 30_000 },
    )
    await waitFor(() => carrier.bound.size === 2)
    await sending.subscribe(...phones(1))
    const long = await sending.broadcast(longText)
    await waitFor(() => carrier.submits.length >= 3)
    await sending.broadcast('short')
    await sending.waitForCounters(long, { sent: 1 })
    const ofLong = carrier.binds.filter((_, index) => carrier.submits[index]?.esm_class === 0x40)
    expect(new Set(ofLong).size).toBe(1)
  })

  test('bounces when a part is rejected', async () => {
    await start((pdu, ordinal) =>
      sequenceOf(pdu) === 2 ? { command_status: commandStatus.ESME_RSUBMITFAIL } : { message_id: `id${ordinal}` },
    )
    await sending.subscribe(...phones(2))
    const id = await sending.broadcast(longText)
    await sending.waitForCounters(id, { bounced: 2 })
    expect(carrier.submits).toHaveLength(6)
  })

  test('is unknown, and not sent again, when a part gets no response', async () => {
    await start((pdu, ordinal) => (sequenceOf(pdu) === 2 ? undefined : { message_id: `id${ordinal}` }))
    await sending.subscribe(...phones(2))
    const id = await sending.broadcast(longText)
    await sending.waitForCounters(id, { unknown: 2 })
    expect(carrier.submits).toHaveLength(6)
  })

  test.each([
    ['a window of two', { window: 2 }],
    ['a window of one', { window: 1 }],
    ['a cap of two per second', { mps: 2 }],
  ])('is sent with %s, as is the text after it', async (_, options) => {
    await start(accept, options)
    await sending.subscribe(...phones(2))
    const long = await sending.broadcast(longText)
    await sending.waitForCounters(long, { sent: 2 })
    expect(carrier.submits.map(sequenceOf)).toEqual(expect.arrayContaining([1, 2, 3]))
    expect(carrier.submits).toHaveLength(6)
    const short = await sending.broadcast('short')
    await sending.waitForCounters(short, { sent: 2 })
  })

  test('with a throttled part is completed during a broadcast that uses every window slot and token', async () => {
    let throttled = 0
    let isThrottling = true
    let lastPartAt = 0
    await start(
      (pdu, ordinal) => {
        if (pdu.esm_class === 0x40 && sequenceOf(pdu) === 3) {
          if (isThrottling) throttled++
          else lastPartAt = ordinal
        }
        return pdu.esm_class === 0x40 && sequenceOf(pdu) === 3 && isThrottling
          ? { command_status: commandStatus.ESME_RTHROTTLED }
          : { message_id: `id${ordinal}` }
      },
      { mps: 30 },
    )
    await sending.subscribe(...phones(1))
    const long = await sending.broadcast(longText)
    await waitFor(() => throttled > 0)
    await sending.subscribe(...phones(300).slice(1))
    const short = await sending.broadcast('short')
    await waitFor(async () => (await sending.counters(short)).sent > 0)
    isThrottling = false
    await sending.waitForCounters(long, { sent: 1 })
    // the last part was submitted long before all short texts
    expect(lastPartAt - throttled).toBeLessThan(300)
  })
})
