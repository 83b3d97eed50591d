// All other operations with npm `smpp` as the SMSC, over TLS: it decodes our PDUs, and we decode its PDUs.

import type npm from 'smpp'
import { afterEach, expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { type Closers, npmServer } from '../../test/npm-server.ts'
import { waitFor } from '../../test/wait-for.ts'
import { connect } from './client.ts'
import { toHandset } from './pdu/destinations.ts'
import { asDeliverSm, cancelSm, dataSm, querySm, type RequestPdu, replaceSm, submitMulti } from './pdu/pdu.ts'
import { isReceipt, parseReceipt } from './pdu/receipt-text.ts'

const closers: Closers = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const authority = makeAuthority()

/** Binds our client to npm's server over TLS; the server records each request and sends the given responses. */
async function bindToNpmServer(responses: Record<string, Record<string, unknown>>) {
  const received: npm.PDU[] = []
  let server: npm.Session | undefined
  const serve = (session: npm.Session) => {
    server = session
    session.on('pdu', (pdu: npm.PDU) => {
      received.push(pdu)
      if (pdu.command.startsWith('bind')) session.send(pdu.response({ system_id: 'npm' }))
      if (pdu.command in responses) session.send(pdu.response(responses[pdu.command]))
    })
  }
  const port = await npmServer(closers, serve, authority.issue('localhost'))
  const tls = { ca: authority.cert, servername: 'localhost' }
  const session = await connect({ host: '127.0.0.1', port, system_id: 'esme', password: 'secret', tls })
  closers.push(() => session.destroy())
  const requests: RequestPdu[] = []
  session.on('request', (request) => {
    requests.push(request)
    session.respond(request)
  })
  return { session, server: server as npm.Session, received, requests }
}

test('submit_multi: npm decodes all destinations, and we decode the rejected ones', async () => {
  const rejected = { dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: '12065550101', error_status_code: 0x0b }
  const { session, received } = await bindToNpmServer({ submit_multi: { message_id: 'M1', unsuccess_sme: [rejected] } })
  const pdu = submitMulti({
    source_addr: '12345',
    dest_address: [
      toHandset('12065550100', 1, 1),
      { dest_flag: 2, dl_name: 'friends' },
      toHandset('12065550101', 1, 1),
    ],
    short_message: Buffer.from('Hello'),
    tlvs: { user_message_reference: 4711 },
  })
  expect(await session.send(pdu)).toMatchObject({ message_id: 'M1', unsuccess_sme: [rejected] })
  expect(received.at(-1)).toMatchObject({
    command: 'submit_multi',
    dest_address: [
      { dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: '12065550100' },
      { dl_name: 'friends' },
      { destination_addr: '12065550101' },
    ],
    short_message: { message: 'Hello' },
    user_message_reference: 4711,
  })
})

test('query_sm, cancel_sm and replace_sm: npm decodes our requests, and we decode its responses', async () => {
  const { session, received } = await bindToNpmServer({
    query_sm: { message_id: 'M1', final_date: new Date('2026-01-02T15:30:00Z'), message_state: 2, error_code: 0 },
    cancel_sm: { command_status: 0x11 },
    replace_sm: {},
  })
  const message = { message_id: 'M1', source_addr: '12345' }
  expect(await session.send(querySm(message))).toMatchObject({
    command: 'query_sm_resp',
    message_id: 'M1',
    message_state: 2,
    final_date: '260102153000000+',
  })
  expect(await session.send(cancelSm({ ...message, destination_addr: '12065550100' }))).toMatchObject({
    command: 'cancel_sm_resp',
    command_status: 0x11,
  })
  const replacement = replaceSm({ ...message, validity_period: '000000020000000R', short_message: Buffer.from('New') })
  expect(await session.send(replacement)).toMatchObject({ command: 'replace_sm_resp', command_status: 0 })
  expect(received.slice(-3)).toMatchObject([
    { command: 'query_sm', ...message },
    { command: 'cancel_sm', ...message, destination_addr: '12065550100' },
    { command: 'replace_sm', ...message, short_message: Buffer.from('New') },
  ])
})

test('data_sm in both directions: we send an MT, and npm sends an MO and a receipt', async () => {
  const { session, server, received, requests } = await bindToNpmServer({ data_sm: { message_id: 'D1' } })
  const tlvs = { message_payload: Buffer.from('Longer than long. '.repeat(30)), user_message_reference: 5 }
  expect(await session.send(dataSm({ source_addr: '12345', destination_addr: '12065550100', tlvs }))).toMatchObject({
    command: 'data_sm_resp',
    message_id: 'D1',
  })
  expect(received.at(-1)).toMatchObject({
    command: 'data_sm',
    destination_addr: '12065550100',
    user_message_reference: 5,
  })

  const addresses = { source_addr: '12065550100', destination_addr: '12345' }
  const responses: npm.PDU[] = []
  server.data_sm({ ...addresses, message_payload: 'STOP' }, (response) => responses.push(response))
  server.data_sm({ ...addresses, esm_class: 4, receipted_message_id: 'D1', message_state: 2 }, (response) =>
    responses.push(response),
  )
  await waitFor(() => responses.length === 2)
  const [mo, receipt] = requests.map((request) => (request.command === 'data_sm' ? asDeliverSm(request) : undefined))
  expect(mo && [isReceipt(mo), mo.short_message.toString('latin1')]).toEqual([false, 'STOP'])
  expect(receipt && [isReceipt(receipt), parseReceipt(receipt)]).toMatchObject([
    true,
    { message_id: 'D1', stat: 'DELIVRD' },
  ])
})

test('alert_notification is decoded and gets no response', async () => {
  const { session, server, received, requests } = await bindToNpmServer({ query_sm: {} })
  server.alert_notification({ source_addr: '12065550100', esme_addr: '12345', ms_availability_status: 0 })
  await waitFor(() => requests.length === 1)
  expect(requests).toMatchObject([
    { command: 'alert_notification', source_addr: '12065550100', tlvs: { ms_availability_status: 0 } },
  ])
  await session.send(querySm({ message_id: 'M1' }))
  expect(received.map((pdu) => pdu.command)).toEqual(['bind_transceiver', 'query_sm'])
})
