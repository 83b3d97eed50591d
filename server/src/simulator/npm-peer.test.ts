// Tests our simulator with npm `smpp` as the client, over TLS: every operation of an ESME by an independent implementation.

import npm from 'smpp'
import { afterEach, expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { useSimulator } from '../../test/simulator.ts'
import { waitFor } from '../../test/wait-for.ts'

const authority = makeAuthority()
const simulator = useSimulator({ tls: authority.issue('127.0.0.1') })
const clients: npm.Session[] = []
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy()
})

type Operation = 'bind_transceiver' | 'submit_sm' | 'submit_multi' | 'data_sm' | 'query_sm' | 'cancel_sm' | 'replace_sm'

async function bindNpmClient() {
  const client = npm.connect({ host: '127.0.0.1', port: simulator.tlsPort(), tls: true, ca: authority.cert })
  clients.push(client)
  client.on('error', () => {})
  const receipts: npm.PDU[] = []
  client.on('deliver_sm', (pdu: npm.PDU) => {
    receipts.push(pdu)
    client.send(pdu.response())
  })
  const request = (operation: Operation, fields: Record<string, unknown>) =>
    new Promise<npm.PDU>((resolve) => client[operation](fields, resolve))
  const bound = await request('bind_transceiver', { system_id: 'carillon', password: 'swordfish' })
  expect(bound).toMatchObject({ command_status: 0, system_id: 'carillon-simulator' })
  return { request, receipts }
}

const text = { source_addr: '12345', destination_addr: '12125550199', registered_delivery: 1 }

test('submit_sm gets a receipt, and query_sm the final state', async () => {
  const { request, receipts } = await bindNpmClient()
  const { message_id } = await request('submit_sm', { ...text, short_message: 'Hello' })
  await waitFor(() => receipts.length === 1)
  expect(receipts[0]).toMatchObject({ esm_class: 4, receipted_message_id: message_id, message_state: 2 })
  const response = await request('query_sm', { message_id, source_addr: '12345' })
  expect(response).toMatchObject({ command_status: 0, message_id, message_state: 2 })
  expect(Math.abs(Number(response.final_date) - Date.now())).toBeLessThan(60_000)
})

test('submit_multi gets a receipt for each handset, and the rejected handset', async () => {
  const { request, receipts } = await bindNpmClient()
  const handsets = ['12125550199', '12125550110', '12125550198']
  const response = await request('submit_multi', {
    source_addr: '12345',
    registered_delivery: 1,
    dest_address: handsets.map((destination_addr) => ({ dest_addr_ton: 1, dest_addr_npi: 1, destination_addr })),
    short_message: 'Hello',
  })
  expect(response).toMatchObject({
    command_status: 0,
    unsuccess_sme: [{ dest_addr_ton: 1, destination_addr: '12125550110', error_status_code: 0x0b }],
  })
  await waitFor(() => receipts.length === 2)
  expect(receipts.map((receipt) => receipt.source_addr)).toEqual([handsets[0], handsets[2]])
  expect(receipts[0]?.receipted_message_id).toBe(response.message_id)
})

test('data_sm submits a text, which replace_sm replaces and cancel_sm deletes', async () => {
  const { request, receipts } = await bindNpmClient()
  await simulator.control('PATCH', '/settings', { receipt_delay_ms: 60_000 })
  const { message_id } = await request('data_sm', { ...text, message_payload: 'Hello there' })
  const message = { message_id, source_addr: '12345' }
  expect((await request('replace_sm', { ...message, short_message: 'Goodbye' })).command_status).toBe(0)
  const { body } = await simulator.control('GET', '/handsets/2125550199/messages')
  expect(body.messages).toMatchObject([{ content: 'Goodbye' }])
  expect((await request('cancel_sm', { ...message, destination_addr: '12125550199' })).command_status).toBe(0)
  await waitFor(() => receipts.length === 1)
  expect(receipts[0]).toMatchObject({ receipted_message_id: message_id, message_state: 4 })
})

test("a text with a validity_period in npm's format becomes EXPIRED", async () => {
  const { request, receipts } = await bindNpmClient()
  await simulator.control('PATCH', '/settings', { receipt_delay_ms: 60_000 })
  await request('submit_sm', { ...text, short_message: 'Hello', validity_period: new Date(Date.now() + 200) })
  await waitFor(() => receipts.length === 1)
  expect(receipts[0]?.message_state).toBe(3)
})
