// Tests with npm `smpp`, an independent implementation, at the other end; agreement is evidence that both are correct.

import npm from 'smpp'
import { afterEach, expect, test } from 'vitest'
import { npmServer } from '../../test/npm-server.ts'
import { waitFor } from '../../test/wait-for.ts'
import { connect } from './client.ts'
import { decodePdu, encodePdu } from './pdu/codec.ts'
import { commandStatus } from './pdu/command-status.ts'
import { commands } from './pdu/commands.ts'
import { type DeliverSm, deliverSm, type SubmitSm, submitSm } from './pdu/pdu.ts'
import { formatReceipt } from './pdu/receipt-format.ts'
import { isReceipt, parseReceipt } from './pdu/receipt-text.ts'
import { tlvTable } from './pdu/tlvs.ts'
import { createServer } from './server.ts'

const closers: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const serve = (onSession: (session: npm.Session) => void) => npmServer(closers, onSession)

const receipt = {
  message_id: '00000a1b',
  stat: 'DELIVRD',
  submitDate: new Date('2026-01-02T15:30:00Z'),
  doneDate: new Date('2026-01-02T15:31:00Z'),
} as const

// Names of npm `smpp` that are from SMPP 5.0 or differ for another reason.
const npmNames: Record<string, string> = {
  ESME_RINVOPTPARSTREAM: 'ESME_RINVTLVSTREAM',
  ESME_ROPTPARNOTALLWD: 'ESME_RTLVNOTALLWD',
  ESME_RINVPARLEN: 'ESME_RINVTLVLEN',
  ESME_RMISSINGOPTPARAM: 'ESME_RMISSINGTLV',
  ESME_RINVOPTPARAMVAL: 'ESME_RINVTLVVAL',
  destination_port: 'dest_port',
}

test('commands, statuses and TLVs have the same numbers as in npm smpp', () => {
  for (const [name, value] of Object.entries(commandStatus)) {
    expect([name, npm.errors[npmNames[name] ?? name]]).toEqual([name, value])
  }
  for (const [name, { id }] of Object.entries(commands)) {
    expect([name, npm.commands[name]?.id]).toEqual([name, id])
  }
  for (const [name, [tag]] of Object.entries(tlvTable)) {
    expect([name, npm.tlvs[npmNames[name] ?? name]?.id]).toEqual([name, tag])
  }
})

test("our client and npm's server bind, submit, exchange a receipt and unbind", async () => {
  const submits: npm.PDU[] = []
  const responses: npm.PDU[] = []
  let unbinds = 0
  const port = await serve((session) => {
    session.on('bind_transceiver', (pdu: npm.PDU) => session.send(pdu.response({ system_id: 'npm' })))
    session.on('submit_sm', (pdu: npm.PDU) => {
      submits.push(pdu)
      session.send(pdu.response({ message_id: 'A1B' }))
      session.deliver_sm(
        {
          source_addr: pdu.destination_addr,
          destination_addr: pdu.source_addr,
          esm_class: 4,
          short_message: formatReceipt(receipt),
          receipted_message_id: 'A1B',
          message_state: 2,
        },
        (response) => responses.push(response),
      )
    })
    session.on('unbind', (pdu: npm.PDU) => {
      unbinds++
      session.send(pdu.response())
      session.close()
    })
  })

  const session = await connect({ host: '127.0.0.1', port, system_id: 'esme', password: 'secret' })
  const receipts: DeliverSm[] = []
  session.on('request', (request) => {
    receipts.push(request as DeliverSm)
    session.respond(request)
  })
  const response = await session.send(
    submitSm({
      source_addr: '12345',
      destination_addr: '12065550100',
      short_message: Buffer.from('Hello'),
      registered_delivery: 1,
      tlvs: { user_message_reference: 513 },
    }),
  )
  expect(response).toMatchObject({ command: 'submit_sm_resp', command_status: 0, message_id: 'A1B' })
  expect(submits[0]).toMatchObject({
    source_addr: '12345',
    destination_addr: '12065550100',
    user_message_reference: 513,
    short_message: { message: 'Hello' },
  })
  await waitFor(() => responses.length === 1)
  expect(responses[0]?.command_status).toBe(0)
  const [got] = receipts as [DeliverSm]
  expect(isReceipt(got)).toBe(true)
  expect(parseReceipt(got)).toMatchObject({ message_id: 'A1B', stat: 'DELIVRD', done_date: '2601021531' })
  await session.unbind()
  expect(unbinds).toBe(1)
})

test("our client maintains its bind on npm's server with enquire_link", async () => {
  let enquiries = 0
  const port = await serve((session) => {
    session.on('bind_transceiver', (pdu: npm.PDU) => session.send(pdu.response()))
    session.on('enquire_link', (pdu: npm.PDU) => {
      enquiries++
      session.send(pdu.response())
    })
  })
  const session = await connect({ host: '127.0.0.1', port, system_id: 'a', password: 'b', enquireLinkMs: 20 })
  await waitFor(() => enquiries >= 3)
  expect(session.bound).toBe(true)
  session.destroy()
})

test("npm's client and our server bind, submit, exchange a receipt and unbind", async () => {
  const submits: SubmitSm[] = []
  const outcomes: string[] = []
  const server = createServer({
    onBind: (_session, bind) => ({ command_status: bind.password === 'secret' ? 0 : 0x0e, system_id: 'ours' }),
    onSession: (session) =>
      session.on('request', (request) => {
        const submit = request as SubmitSm
        submits.push(submit)
        session.respond(submit, { message_id: receipt.message_id })
        session.request(
          deliverSm({
            source_addr: submit.destination_addr,
            destination_addr: submit.source_addr,
            esm_class: 4,
            short_message: formatReceipt(receipt),
            tlvs: { receipted_message_id: receipt.message_id, message_state: 2 },
          }),
          (outcome) => outcomes.push(outcome.kind),
        )
      }),
  })
  closers.push(() => server.close())
  const port = await server.listen(0, '127.0.0.1')

  const client = npm.connect({ host: '127.0.0.1', port })
  client.on('error', () => {})
  const receipts: npm.PDU[] = []
  client.on('deliver_sm', (pdu: npm.PDU) => {
    receipts.push(pdu)
    client.send(pdu.response())
  })
  const bound = await new Promise<npm.PDU>((resolve) =>
    client.bind_transceiver({ system_id: 'npm', password: 'secret' }, resolve),
  )
  expect(bound).toMatchObject({ command_status: 0, system_id: 'ours' })
  const fields = {
    source_addr: '12345',
    destination_addr: '12065550100',
    short_message: 'Hello',
    user_message_reference: 7,
  }
  const response = await new Promise<npm.PDU>((resolve) => client.submit_sm(fields, resolve))
  expect(response).toMatchObject({ command_status: 0, message_id: receipt.message_id })
  expect(submits[0]).toMatchObject({ destination_addr: '12065550100', tlvs: { user_message_reference: 7 } })
  expect(submits[0]?.short_message.toString()).toBe('Hello')
  await waitFor(() => outcomes.length === 1)
  expect(outcomes).toEqual(['response'])
  expect(receipts[0]).toMatchObject({ esm_class: 4, receipted_message_id: receipt.message_id, message_state: 2 })
  const unbound = await new Promise<npm.PDU>((resolve) => client.unbind({}, resolve))
  expect(unbound.command_status).toBe(0)
  await waitFor(() => server.sessions.size === 0)
})

test("npm's client receives ESME_RINVPASWD for a wrong password", async () => {
  const server = createServer({ onBind: () => ({ command_status: 0x0e }), onSession: () => {} })
  closers.push(() => server.close())
  const client = npm.connect({ host: '127.0.0.1', port: await server.listen(0, '127.0.0.1') })
  client.on('error', () => {})
  const response = await new Promise<npm.PDU>((resolve) =>
    client.bind_transceiver({ system_id: 'npm', password: 'wrong' }, resolve),
  )
  expect(response.command_status).toBe(0x0e)
  client.destroy()
})

test("npm decodes our PDUs, and we decode npm's", () => {
  const ours = submitSm({
    sequence_number: 9,
    service_type: 'CMT',
    source_addr_ton: 5,
    source_addr: 'Carillon',
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    destination_addr: '12065550100',
    registered_delivery: 1,
    data_coding: 4,
    short_message: Buffer.from('00ff80017f', 'hex'),
    tlvs: { sar_msg_ref_num: 10, network_error_code: Buffer.from('030001', 'hex') },
  })
  const npmPdu = new npm.PDU(encodePdu(ours))
  expect(npmPdu).toMatchObject({ command: 'submit_sm', source_addr: 'Carillon', data_coding: 4, sar_msg_ref_num: 10 })
  expect(decodePdu(npmPdu.toBuffer())).toEqual(ours)
})
