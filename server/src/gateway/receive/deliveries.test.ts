import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { useDatabase } from '../../../test/database.ts'
import { sourceOf } from '../../../test/deliveries.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { interpretInbound } from '../../inbound/inbound.ts'
import { ReceiptBatcher } from '../../receipts/receipts.ts'
import type { DeliverSm } from '../../smpp/pdu/pdu.ts'
import type { Session } from '../../smpp/session.ts'
import type { ResponseFields } from '../../smpp/session.types.ts'
import { Meter } from '../meter.ts'
import { Recorder } from '../submit/recorder.ts'
import { Deliveries } from './deliveries.ts'

// When an MO gets its response. Timers are fake, so that eight seconds pass immediately.

const ctx = useDatabase()
const responses: (number | undefined)[] = []
let deliveries: Deliveries
let shortCode: string
let connectionId: number
let stored: Promise<void>

beforeEach(async () => {
  responses.length = 0
  const account = await make.account(ctx.db)
  shortCode = (await make.shortCode(ctx.db, { accountId: account.id })).code
  connectionId = (await make.connection(ctx.db, { name: 'Cedar SMS' })).id
  const rt = makeRuntime({ db: ctx.db })
  const { promise, resolve } = Promise.withResolvers<void>()
  stored = promise
  const recorder = new Recorder(rt, () => 2)
  const receipts = new ReceiptBatcher(rt, () => 2)
  deliveries = new Deliveries(rt, recorder, receipts, new Meter(rt.metrics, () => []), resolve)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

async function receive(content: string) {
  const session = {
    bound: true,
    respond: (_: unknown, fields?: ResponseFields) => responses.push(fields?.command_status),
  } as unknown as Session
  const pdu = {
    command: 'deliver_sm',
    esm_class: 0,
    data_coding: 0,
    source_addr: '12065560001',
    destination_addr: shortCode,
    short_message: Buffer.from(content),
  } as unknown as DeliverSm
  deliveries.handle(sourceOf(connectionId), session, pdu)
  await stored
}

test('an MO that is no opt-out gets its response when it is stored', async () => {
  await receive('stop this bill')
  expect(responses).toEqual([undefined])
})

test('a STOP gets one response when it was interpreted, and none at its time limit', async () => {
  await receive('STOP')
  await deliveries.respondToOptOuts()
  expect(responses).toEqual([])
  await interpretInbound(makeRuntime({ db: ctx.db }))
  await deliveries.respondToOptOuts()
  await deliveries.respondToOptOuts()
  vi.advanceTimersByTime(60_000)
  expect(responses).toEqual([undefined])
})

test('a STOP that is not interpreted within 8 s is rejected with ESME_RX_T_APPN', async () => {
  await receive('STOP')
  vi.advanceTimersByTime(7_999)
  expect(responses).toEqual([])
  vi.advanceTimersByTime(1)
  // after ESME_RX_T_APPN the carrier sends the MO again
  expect(responses).toEqual([0x64])
  await interpretInbound(makeRuntime({ db: ctx.db }))
  await deliveries.respondToOptOuts()
  expect(responses).toEqual([0x64])
})
