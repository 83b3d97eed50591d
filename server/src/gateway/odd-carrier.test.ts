import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Responder, startOddCarrier } from '../../test/odd-carrier.ts'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { wake } from '../db/wake.ts'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import { dataSm, deliverSm } from '../smpp/pdu/pdu.ts'

// Carriers respond late, twice, without content or with garbage. None of it may affect other texts.

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

const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_560_001 + n)
const accept: Responder = (_, ordinal) => ({ message_id: `id${ordinal}` })
const longText = 'x'.repeat(400)

describe('the outcome of a text', () => {
  beforeEach(async () => {
    await start(accept)
    await sending.subscribe(...phones(1))
  })

  test.each([
    ['a NUL in the error', 'id:id1 stat:DELIVRD err:0\0x text:'],
    ['a NUL in the id and in the date', 'id:id\0x1 submit date:26\0x01 stat:DELIVRD err:000'],
    ['an id of many kilobytes', Buffer.alloc(0)],
  ])('%s is answered, and does not hold up the next receipt', async (_, text) => {
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 1 })
    const tlvs = text.length === 0 ? { receipted_message_id: 'f'.repeat(60_000), message_state: 2 } : undefined
    expect(await carrier.receipt(text, tlvs ? { tlvs } : {})).toBe(0)
    expect(await carrier.receipt('id:id1 stat:DELIVRD err:000')).toBe(0)
    await sending.untilCounted(id, { delivered: 1 })
  })

  test.each([
    ['a receipt', 'receipts', 'id:nobody stat:DELIVRD err:000', 4],
    ['a text of a handset', 'inbound_messages', 'Hello', 0],
  ])('%s is answered when it is durable, not before', async (_, table, text, esm_class) => {
    let answered = false
    let answer: Promise<number> | undefined
    await sending.db.tx(async (tx) => {
      await tx.exec(`lock_${table}`, `lock table ${table} in share mode`)
      answer = carrier.receipt(text, { esm_class }).finally(() => {
        answered = true
      })
      for (let n = 0; n < 10; n++) await tx.one('pause', 'select pg_sleep(0.02)')
      expect(answered).toBe(false)
    })
    expect(await answer).toBe(0)
    expect(await sending.db.many(`kept_${table}`, `select from ${table}`)).toHaveLength(1)
  })

  test('a receipt may come as data_sm, and so may a text', async () => {
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 1 })
    const ends = { source_addr: '12065560001', destination_addr: sending.shortCode.code }
    const say = async (fields: Parameters<typeof dataSm>[0]) =>
      (await (await carrier.anyBind()).send(dataSm({ ...fields, ...ends }))).command_status
    expect(
      await say({ esm_class: 4, tlvs: { receipted_message_id: 'id1', message_state: 2 }, destination_addr: '' }),
    ).toBe(0)
    await sending.untilCounted(id, { delivered: 1 })
    expect(await say({ tlvs: { message_payload: Buffer.from('STOP') }, destination_addr: '' })).toBe(0)
    const heard = await sending.db.one('heard', 'select phone, content from inbound_messages')
    expect(heard).toEqual({ phone: 2_065_560_001, content: 'STOP' })
  })

  test('an unreadable receipt gets a response', async () => {
    expect(await carrier.receipt('your message was most certainly delivered')).toBe(0)
  })
})

describe('ids of an SMSC', () => {
  test.each([
    ['none at all', ''],
    ['the same for all', 'same'],
  ])('%s: the texts are sent all the same', async (_, messageId) => {
    await start(() => ({ message_id: messageId }))
    await sending.subscribe(...phones(3))
    const id = await sending.broadcast()
    await sending.untilCounted(id, { sent: 3 })
  })
})

test('a sender that no PDU can carry bounces its own texts, and no others', async () => {
  await start(accept)
  await sending.subscribe(...phones(2))
  const setCode = (code: string) =>
    sending.db.exec('set_code', 'update short_codes set code = $2 where id = $1', [sending.shortCode.id, code])
  await setCode('7'.repeat(30))
  const id = await sending.broadcast()
  await sending.untilCounted(id, { bounced: 2 })
  expect(carrier.submits).toEqual([])
  await setCode('77777')
  const next = await sending.broadcast()
  await sending.untilCounted(next, { sent: 2 })
})

test('data_coding 0 is decoded by the charset of the connection', async () => {
  await start(accept)
  const destination_addr = sending.shortCode.code
  const short_message = Buffer.from('caf\u00e9 @ $5', 'latin1')
  const hears = async () => {
    await (await carrier.anyBind()).send(deliverSm({ source_addr: '12065560001', destination_addr, short_message }))
    const last = 'select content from inbound_messages order by id desc limit 1'
    return (await sending.db.one<{ content: string }>('heard', last)).content
  }
  expect(await hears()).toBe('café ¡ ¤5')
  await sending.db.exec('latin1', `update connections set charset = 'latin1', version = version + 1`)
  await sending.db.tx((tx) => wake(tx, 'connections'))
  await waitFor(async () => (await hears()) === 'café @ $5', { what: 'a text read as Latin-1' })
})

test('texts of one handset are stored in the order in which they came', async () => {
  await start(accept)
  // the first insert takes a moment, and there are connections enough for the second to overtake it
  await sending.db.exec(
    'slow',
    `create function dawdle() returns trigger language plpgsql as
       $$ begin if new.content = 'STOP' then perform pg_sleep(0.3); end if; return new; end $$`,
  )
  await sending.db.exec(
    'trigger',
    'create trigger dawdle before insert on inbound_messages for each row execute function dawdle()',
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
  const answers = await Promise.all([write('STOP'), write('HELP')])
  expect(answers.map((answer) => answer.command_status)).toEqual([0, 0])
  const kinds = `select kind from inbound_messages where interpreted_at is not null order by interpreted_at`
  const read = await waitFor(async () => {
    const rows = await sending.db.many<{ kind: string }>('kinds', kinds)
    return rows.length === 2 && rows
  })
  expect(read).toEqual([{ kind: 'opt_out' }, { kind: 'help' }])
})

test('a STOP gets its response only when its opt-out is committed', async () => {
  await start(accept)
  const [phone = 0] = phones(1)
  await sending.subscribe(phone)
  const bind = await carrier.anyBind()
  let answer: number | undefined
  let told = Promise.resolve()
  const read = `select from inbound_messages where opted_out_at is not null`
  await sending.db.tx(async (tx) => {
    await tx.exec('hold', 'select from subscribers where phone = $1 for update', [phone])
    const stop = deliverSm({
      source_addr: `1${phone}`,
      destination_addr: sending.shortCode.code,
      short_message: Buffer.from('Stop!'),
    })
    told = bind.send(stop).then(async ({ command_status }) => {
      answer = command_status
    })
    const isHeldUp = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
    await waitFor(async () => (await tx.many('held_up', isHeldUp)).length > 0, { what: 'the opt-out to be held up' })
    // a word that asks for nothing is answered meanwhile
    const other = dataSm({
      source_addr: '12065560009',
      destination_addr: sending.shortCode.code,
      tlvs: { message_payload: Buffer.from('Thanks') },
    })
    expect((await bind.send(other)).command_status).toBe(0)
    expect(answer).toBeUndefined()
  })
  await told
  expect(answer).toBe(0)
  expect(await sending.db.many('read', read)).toHaveLength(1)
})

test('a response after its deadline still counts', async () => {
  await start(() => undefined)
  await sending.subscribe(...phones(1))
  const id = await sending.broadcast()
  await sending.untilCounted(id, { unknown: 1 })
  const [submit] = carrier.submits
  if (!submit) throw new Error('nothing was submitted')
  const bind = await carrier.anyBind()
  bind.respond(submit, { message_id: 'late' })
  await sending.untilCounted(id, { sent: 1, unknown: 0 })
  await carrier.receipt('id:late stat:DELIVRD err:000')
  await sending.untilCounted(id, { delivered: 1 })
  expect(carrier.submits).toHaveLength(1)
})

describe('a text of three parts', () => {
  const statusOf = (pdu: { short_message: Buffer }) => pdu.short_message[5] as number

  test('goes out whole when one part is throttled at first, and its receipts count', async () => {
    let throttled = 0
    await start((pdu, ordinal) => {
      if (statusOf(pdu) === 2 && throttled++ < 2) return { command_status: commandStatus.ESME_RTHROTTLED }
      return { message_id: `id${ordinal}` }
    })
    await sending.subscribe(...phones(1))
    const id = await sending.broadcast(longText)
    await waitFor(() => carrier.submits.length >= 3)
    expect(await carrier.receipt('id:id1 stat:DELIVRD err:000')).toBe(0)
    await sending.untilCounted(id, { sent: 1 })
    expect(carrier.submits.map(statusOf)).toEqual([1, 2, 3, 2, 2])
    await carrier.receipt('id:id3 stat:DELIVRD err:000')
    await carrier.receipt('id:id5 stat:DELIVRD err:000')
    await sending.untilCounted(id, { delivered: 1 })
  })

  test('bounces when a part is rejected', async () => {
    await start((pdu, ordinal) =>
      statusOf(pdu) === 2 ? { command_status: commandStatus.ESME_RSUBMITFAIL } : { message_id: `id${ordinal}` },
    )
    await sending.subscribe(...phones(2))
    const id = await sending.broadcast(longText)
    await sending.untilCounted(id, { bounced: 2 })
    expect(carrier.submits).toHaveLength(6)
  })

  test('is unknown, and not sent again, when a part gets no response', async () => {
    await start((pdu, ordinal) => (statusOf(pdu) === 2 ? undefined : { message_id: `id${ordinal}` }))
    await sending.subscribe(...phones(2))
    const id = await sending.broadcast(longText)
    await sending.untilCounted(id, { unknown: 2 })
    expect(carrier.submits).toHaveLength(6)
  })

  test.each([
    ['a window of two', { window: 2 }],
    ['a window of one', { window: 1 }],
    ['two a second', { mps: 2 }],
  ])('passes %s, and so does what is behind it', async (_, options) => {
    await start(accept, options)
    await sending.subscribe(...phones(2))
    const long = await sending.broadcast(longText)
    await sending.untilCounted(long, { sent: 2 })
    expect(carrier.submits.map(statusOf)).toEqual(expect.arrayContaining([1, 2, 3]))
    expect(carrier.submits).toHaveLength(6)
    const short = await sending.broadcast('short')
    await sending.untilCounted(short, { sent: 2 })
  })

  test('whose part is throttled goes on beside a broadcast that takes every window slot and token', async () => {
    let throttled = 0
    let isThrottling = true
    let lastPartAt = 0
    await start(
      (pdu, ordinal) => {
        if (pdu.esm_class === 0x40 && statusOf(pdu) === 3) {
          if (isThrottling) throttled++
          else lastPartAt = ordinal
        }
        return pdu.esm_class === 0x40 && statusOf(pdu) === 3 && isThrottling
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
    await sending.untilCounted(long, { sent: 1 })
    // three parts of the long text, those that were throttled, and by far not all of the short ones
    expect(lastPartAt - throttled).toBeLessThan(300)
  })
})
