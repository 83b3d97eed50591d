import { lockCap } from '../accounts/caps.queries.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import type { ListEventType, RecordedEvent } from '../events/event-types.ts'
import { findFieldsOfList, insertTestEvent } from '../events/events.queries.ts'
import { renderPayload, renderTestPayload } from '../events/payloads.schema.ts'
import { sampleEvent } from '../events/sample-events.ts'
import { sampleReport } from '../reports/sample-report.ts'
import type { Runtime } from '../runtime.ts'
import { lockTestEndpoint } from './delivery/callback-endpoints.queries.ts'
import { requeueDeliveries } from './delivery/requeue.queries.ts'
import { findEndpointId } from './delivery-log/attempts.queries.ts'
import { countTestEvents } from './test-events.queries.ts'
import type { TestedCallbackType } from './test-events.schema.ts'
import { getWebhook } from './webhooks.ts'

/** Maximum number of test events of an account in a minute: each one is a request to an address of the caller's choice. */
export const maxTestsPerMinute = 30

type Rt = Pick<Runtime, 'db' | 'clock'>

/** A webhook in a path, with the time zone of its account. */
export type TestedWebhook = { accountId: number; listId: number; webhookId: number; timeZone: string }

/**
 * Queues a made-up event of a type for one webhook, whether it receives the type or not, and returns its position. It is
 * delivered once, and not in the feed. Throws a 422 for a disabled webhook, a 429 after 30 of the account in a minute, and the errors
 * of `getWebhook`.
 */
export function sendTestEvent(rt: Rt, webhook: TestedWebhook, type: ListEventType): Promise<number> {
  const { accountId, listId, webhookId } = webhook
  const now = rt.clock.now()
  return rt.db.tx(async (tx) => {
    const { enabled } = await getWebhook(tx, accountId, listId, webhookId)
    const endpointId = await findEndpointId(tx, accountId, webhookId)
    if (!enabled || endpointId === undefined) throw errors.webhookDisabled()
    await rejectAtLimit(tx, accountId, now)
    const payload = await render(tx, webhook, type, now, renderTestPayload)
    const event = { accountId, listId, type, occurredAt: now, payload, callbackUrl: null }
    const position = await insertTestEvent(tx, event)
    await requeueDeliveries(tx, endpointId, [position], now)
    return position
  })
}

/**
 * Queues a made-up callback of a type to a URL and returns its position. It is delivered once, and not in the feed. Tests of an account have an
 * endpoint of their own, so a failing URL delays no callback of its host. Throws a 429 as `sendTestEvent` does.
 */
export function sendCallbackTest(
  rt: Rt,
  { accountId, timeZone }: { accountId: number; timeZone: string },
  { type, url }: { type: TestedCallbackType; url: string },
): Promise<number> {
  const now = rt.clock.now()
  return rt.db.tx(async (tx) => {
    await rejectAtLimit(tx, accountId, now)
    const payload = renderTestPayload(sampleOf(type, { accountId, listId: null, timeZone, at: now, url }), [])
    const event = { accountId, listId: null, type, occurredAt: now, payload, callbackUrl: url }
    const position = await insertTestEvent(tx, event)
    await requeueDeliveries(tx, await lockTestEndpoint(tx, accountId), [position], now)
    return position
  })
}

/** Throws a 429 if the account has sent its test events of this minute. */
async function rejectAtLimit(tx: Db, accountId: number, now: Date): Promise<void> {
  // the statement after the lock counts those of concurrent requests
  await lockCap(tx, 'test_events', accountId)
  const recent = await countTestEvents(tx, accountId, new Date(now.getTime() - 60_000), maxTestsPerMinute)
  if (recent >= maxTestsPerMinute) throw errors.tooManyTestEvents(maxTestsPerMinute)
}

/** Returns the payload of a made-up event of a type as JSON, with the custom fields of the list; throws the errors of `getWebhook`. */
export async function previewPayload(
  rt: Rt,
  webhook: TestedWebhook,
  type: ListEventType | TestedCallbackType,
): Promise<string> {
  await getWebhook(rt.db, webhook.accountId, webhook.listId, webhook.webhookId)
  return render(rt.db, webhook, type, rt.clock.now(), renderPayload)
}

async function render(
  db: Db,
  webhook: TestedWebhook,
  type: ListEventType | TestedCallbackType,
  at: Date,
  renderer: typeof renderPayload,
) {
  return renderer(sampleOf(type, { ...webhook, at, url: null }), await findFieldsOfList(db, webhook.listId))
}

type Sampled = { accountId: number; listId: number | null; timeZone: string; at: Date; url: string | null }

/** Returns a made-up event of a type; that of a report has the `url` that it calls. */
function sampleOf(type: ListEventType | TestedCallbackType, { url, ...given }: Sampled): RecordedEvent {
  if (type !== 'momt_report') return sampleEvent(type, given)
  const report = sampleReport({ ...given, webhookCallbackUrl: url })
  return {
    ...{ id: 0, accountId: given.accountId, listId: null, type, phone: null, occurredAt: given.at, callbackUrl: null },
    ...{ timeZone: given.timeZone, facts: { report } },
  }
}
