import type { Db } from '../db/db.ts'
import type { NumberedEvent, RecordedEvent } from './event-types.ts'
import { becomeSequencer, findFieldsOfLists, insertEvents, takePositions, takeRecorded } from './events.queries.ts'
import { renderPayload } from './payloads.schema.ts'

export type Numbered = { count: number; isFull: boolean }

/** Maximum number of events numbered in one transaction: about 1 MB of payloads. */
const batchSize = 1_000

/**
 * Numbers visible events of the outbox and passes them to `onNumbered` in the same transaction. Returns how many there were,
 * and whether more may wait. One transaction numbers at a time, over all workers, so positions become visible in their order.
 */
export function numberEvents(
  db: Db,
  onNumbered: (tx: Db, events: NumberedEvent[]) => Promise<void>,
): Promise<Numbered> {
  return db.tx(async (tx) => {
    if (!(await becomeSequencer(tx))) return { count: 0, isFull: false }
    const recorded = await takeRecorded(tx, batchSize)
    if (recorded.length === 0) return { count: 0, isFull: false }
    const payloads = await renderAll(tx, recorded)
    const first = await takePositions(tx, recorded.length)
    const events = recorded.map(({ accountId, listId, type, phone, occurredAt, callbackUrl }, i) => ({
      position: first + i,
      payload: payloads[i] ?? '',
      ...{ accountId, listId, type, phone, occurredAt, callbackUrl },
    }))
    await insertEvents(tx, events)
    await onNumbered(tx, events)
    return { count: recorded.length, isFull: recorded.length === batchSize }
  })
}

async function renderAll(tx: Db, events: RecordedEvent[]): Promise<string[]> {
  const listIds = [...new Set(events.flatMap(({ listId }) => listId ?? []))]
  // read after the rows are locked: a change of fields waits for this transaction, or has stored the former ones in them
  const fields = await findFieldsOfLists(tx, listIds)
  return events.map((event) => renderPayload(event, event.fields ?? fields.get(event.listId ?? 0) ?? []))
}
