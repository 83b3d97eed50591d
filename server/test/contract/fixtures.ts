import type { Db } from '../../src/db/db.ts'
import { upsertRate } from '../../src/rates/rates.queries.ts'
import type { ApiCaller } from '../api.ts'
import { make } from '../make.ts'
import { donation, field } from './bodies.ts'

/** Ids by the names of the path parameters. */
export type Ids = Record<string, string>

/** Creates one of each noun for a caller and returns their ids. */
export async function createFixtures(
  db: Db,
  caller: ApiCaller,
  { name, phone }: { name: string; phone: number },
): Promise<Ids> {
  const { accountId, shortCode } = caller
  const list = await make.list(db, { accountId, shortCodeId: shortCode.id, name })
  const path = `/lists/${list.id}`
  await make.subscriber(db, { listId: list.id, phone })
  await caller.put(`${path}/subscribers/${phone}`, { subscriber: { tags: 'local' } })
  await caller.post(`${path}/custom_fields`, { custom_field: field })
  await caller.put(`${path}/keywords`, { keyword_names: ['CEDAR'] })
  await caller.post(`${path}/subscribers/${phone}/donations`, { ...donation, donation_platform_uid: 'gr-0' })
  const message = { content: 'Cedar Valley Pantry: closed on Monday.', draft: true }
  const draft = await caller.post(`${path}/messages`, { message })
  const transactional_message = { number: phone, content: 'Cedar Valley Pantry: your box is ready.' }
  const text = await caller.post('/transactional_messages', { transactional_message })
  const plan = await caller.post(`${path}/flight_plans`, { message: { content: 'Closed on {first_name}.' } })
  const imported = await caller.post(`${path}/imports`, undefined, {
    payload: `phone_number\n${phone + 1}\n`,
    headers: { 'content-type': 'text/csv' },
  })
  const webhook = await make.webhook(db, { listId: list.id })
  const { position } = await make.numberedEvent(db, { listId: list.id })
  const attempt = await make.deliveryAttempt(db, { webhookId: webhook.id, position })
  const replay = await make.replay(db, { webhookId: webhook.id })
  const report = await make.momtReport(db, { accountId })
  // no server listens on this port
  const connection = await make.connection(db, { name: `${name}'s carrier`, port: 1, enabled: false })
  const mo = await make.unmatchedStop(db, { connectionId: connection.id })
  const rate = await upsertRate(db, {
    accountId,
    channel: 'sms',
    carrier: null,
    price: '0.0079',
    since: '2031-05-06',
    source: 'contract of May',
  })
  const other = await make.apiKey(db, { accountId })
  return {
    list_id: String(list.id),
    phone_number: String(phone),
    message_id: String((draft.body.message as { id: number }).id),
    transactional_message_id: String((text.body.transactional_message as { id: number }).id),
    flight_plan_id: String((plan.body.flight_plan as { id: number }).id),
    import_id: String((imported.body.import as { id: number }).id),
    webhook_id: String(webhook.id),
    attempt_id: String(attempt.id),
    replay_id: String(replay.id),
    momt_report_id: String(report.id),
    rate_id: String(rate.id),
    connection_id: String(connection.id),
    unmatched_mo_id: String(mo.id),
    api_key_id: String(other.id),
    shortcode: shortCode.code,
  }
}
