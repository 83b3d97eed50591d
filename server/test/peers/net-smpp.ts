// Perl's Net::SMPP 1.19, as a client and as a server.

import { fileURLToPath } from 'node:url'
import { connect } from '../../src/smpp/client.ts'
import { toHandset } from '../../src/smpp/pdu/destinations.ts'
import { asDeliverSm, type DeliverSm, querySm, submitMulti, submitSm } from '../../src/smpp/pdu/pdu.ts'
import { isReceipt, parseReceipt } from '../../src/smpp/pdu/receipt-text.ts'
import { type Checks, expectFields, waitUntil } from './checks.ts'
import { startPeerSimulator } from './peer-simulator.ts'
import { Program } from './programs.ts'

type Pdu = Record<string, unknown> & { as?: string; cmd?: string }

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const hexOf = (text: string) => `hex:${Buffer.from(`${text}\0`).toString('hex')}`

/** Net::SMPP as a client of our simulator. */
export async function checkPerlClient(checks: Checks): Promise<void> {
  const simulator = await startPeerSimulator()
  await simulator.settings({ receipt_delay_ms: 300 })
  const printed: Pdu[] = []
  const args = [script('esme.pl'), String(simulator.port), simulator.systemId, simulator.password]
  const perl = new Program('perl', args, (line) => printed.push(JSON.parse(line)))
  const waitForPdu = (as: string) => waitUntil(() => printed.find((pdu) => pdu.as === as))
  const ok = { status: '0' }
  try {
    await checks.check('Net::SMPP binds to our simulator', async () =>
      expectFields(await waitForPdu('bind'), { ...ok, system_id: 'carillon-simulator' }),
    )
    await checks.check('it submits and reads the id', async () =>
      expectFields(await waitForPdu('submit'), { ...ok, message_id: /^[0-9a-f]{12}$/ }),
    )
    await checks.check('it reads a rejection', async () => expectFields(await waitForPdu('rejected'), { status: '11' }))
    await checks.check('it submits to two phones with submit_multi and reads the rejected one', async () =>
      expectFields(await waitForPdu('multi'), {
        ...ok,
        no_unsuccess: '1',
        destination_addr: ['12125550110'],
        error_status_code: ['11'],
      }),
    )
    await checks.check('it submits with data_sm', async () =>
      expectFields(await waitForPdu('data'), { ...ok, message_id: /^[0-9a-f]{12}$/ }),
    )
    await checks.check('query_sm: enroute', async () =>
      expectFields(await waitForPdu('query'), { ...ok, message_state: '1', final_date: '' }),
    )
    await checks.check('cancel_sm', async () => expectFields(await waitForPdu('cancel'), ok))
    await checks.check('enquire_link', async () => expectFields(await waitForPdu('enquire'), ok))
    await checks.check('it reads three receipts: one deleted, two delivered', async () => {
      const receipts = await waitUntil(() => {
        const all = printed.filter((pdu) => pdu.as === 'delivered')
        return all.length === 3 && all
      })
      const { message_id = '' } = await waitForPdu('submit')
      expectFields(receipts[0], {
        esm_class: '4',
        message_state: 'hex:04',
        receipted_message_id: hexOf(String(message_id)),
        short_message: /stat:DELETED .* text:Hello from Perl$/,
      })
      const { message_id: multiId = '' } = await waitForPdu('multi')
      expectFields(receipts[1], { message_state: 'hex:02', receipted_message_id: hexOf(String(multiId)) })
      expectFields(receipts[2], { short_message: /stat:DELIVRD .* text:Hello data$/ })
    })
    await checks.check('it unbinds', async () => expectFields(await waitForPdu('unbind'), ok))
    await checks.check('no receipt is owed and no bind is open', () =>
      waitUntil(async () => {
        const { owed, binds } = await simulator.state()
        return owed === 0 && binds.length === 0
      }),
    )
  } finally {
    await perl.stop()
    await simulator.stop()
  }
}

/** Our gateway's session as a client of Net::SMPP. */
export async function checkPerlServer(checks: Checks): Promise<void> {
  const printed: Pdu[] = []
  const perl = new Program('perl', [script('smsc.pl')], (line) => printed.push(JSON.parse(line)))
  const waitForPdu = (cmd: string) => waitUntil(() => printed.find((pdu) => pdu.cmd === cmd))
  try {
    const { port } = (await waitUntil(() => printed.find((pdu) => 'port' in pdu))) as { port: number }
    const session = await connect({
      host: '127.0.0.1',
      port,
      system_id: 'carillon',
      password: 'chimes',
      enquireLinkMs: 200,
    })
    const delivered: DeliverSm[] = []
    session.on('request', (pdu) => {
      if (pdu.command === 'deliver_sm') delivered.push(pdu)
      if (pdu.command === 'data_sm') delivered.push(asDeliverSm(pdu))
      session.respond(pdu)
    })
    await checks.check('our session binds to a Net::SMPP server', async () => {
      expectFields(await waitForPdu('bind_transceiver'), {
        system_id: 'carillon',
        password: 'chimes',
        interface_version: '52',
      })
      return session.bound
    })
    await checks.check('it reads all fields of our submit_sm, and we read its id', async () => {
      const submit = submitSm({
        source_addr: '12345',
        dest_addr_ton: 1,
        dest_addr_npi: 1,
        destination_addr: '12125550142',
        validity_period: '000000020000000R',
        registered_delivery: 1,
        data_coding: 8,
        short_message: Buffer.from('00480069', 'hex'),
        tlvs: { user_message_reference: 0x1267 },
      })
      expectFields(await session.send(submit), { command_status: 0, message_id: 'P1' })
      expectFields(await waitForPdu('submit_sm'), {
        source_addr: '12345',
        dest_addr_ton: '1',
        dest_addr_npi: '1',
        destination_addr: '12125550142',
        validity_period: '000000020000000R',
        registered_delivery: '1',
        data_coding: '8',
        short_message: 'hex:00480069',
        user_message_reference: 'hex:1267',
      })
    })
    await checks.check('we read its receipt, its MO and its MO as data_sm', async () => {
      await waitUntil(() => delivered.length === 3)
      const [receipt, mo, data] = delivered as [DeliverSm, DeliverSm, DeliverSm]
      expectFields(parseReceipt(receipt), { message_id: 'P1', stat: 'DELIVRD', err: '000', done_date: '2601021531' })
      expectFields({ mo: isReceipt(mo), text: mo.short_message.toString('latin1') }, { mo: false, text: 'STOP' })
      expectFields(
        { from: data.source_addr, text: data.short_message.toString('latin1') },
        {
          from: '12125550142',
          text: 'START',
        },
      )
    })
    await checks.check('query_sm', async () =>
      expectFields(await session.send(querySm({ message_id: 'P1', source_addr: '12345' })), {
        message_id: 'P1',
        message_state: 2,
        final_date: '260102153000000+',
      }),
    )
    await checks.check('submit_multi', async () => {
      const dest_address = [toHandset('12125550142', 1, 1), toHandset('12125550110', 1, 1)]
      const pdu = submitMulti({ source_addr: '12345', dest_address, short_message: Buffer.from('Hello all') })
      const response = await session.send(pdu)
      expectFields(response, {
        message_id: 'P-multi',
        unsuccess_sme: [{ dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: '12125550110', error_status_code: 11 }],
      })
      expectFields(await waitForPdu('submit_multi'), { destination_addr: ['12125550142', '12125550110'] })
    })
    await checks.check('it responds to our enquire_link', async () => {
      await waitForPdu('enquire_link')
      return session.bound
    })
    await checks.check('it responds to our unbind', async () => {
      await session.unbind()
      await waitForPdu('unbind')
      await perl.waitForExit()
    })
  } finally {
    await perl.stop()
  }
}
