import type { Db } from '../db/db.ts'
import { isErrorOfValues } from '../db/pg-errors.ts'
import type { NumberedEvent, RecordedEvent } from './event-types.ts'
import {
  becomeSequencer,
  findFieldsOfLists,
  insertEvents,
  setEventAside,
  takePositions,
  takeRecorded,
} from './events.queries.ts'
import { renderPayload } from './payloads.schema.ts'

export type Numbered = { count: number; isFull: boolean }

/** Maximum number of events numbered in one transaction: about 1 MB of payloads. */
const batchSize = 1_000

type OnNumbered = (tx: Db, events: NumberedEvent[]) => Promise<void>

/** An event that is set aside because of its own values, and its error. */
export type UnnumberedEvent = { id: number; error: unknown }

/**
 * Numbers visible events of the outbox and passes them to `onNumbered` in the same transaction. Returns how many there were,
 * and whether more may wait. One transaction numbers at a time, over all workers, so positions become visible in their order.
 * After an error of values it takes fewer events, until one fails alone: that one is set aside, so that it does not stop the
 * others, and reported to `onSetAside`. Throws other errors, after which the events are still in the outbox.
 */
export async function numberEvents(
  db: Db,
  onNumbered: OnNumbered,
  onSetAside: (event: UnnumberedEvent) => void = () => {},
): Promise<Numbered> {
  for (let limit = batchSize; ; limit = Math.ceil(limit / 4)) {
    let firstId: number | undefined
    try {
      return await db.tx((tx) =>
        numberBatch(tx, limit, onNumbered, (id) => {
          firstId = id
        }),
      )
    } catch (error) {
      if (firstId === undefined || !isErrorOfValues(error)) throw error
      if (limit > 1) continue
      if (await setEventAside(db, firstId)) onSetAside({ id: firstId, error })
      return { count: 0, isFull: true }
    }
  }
}

async function numberBatch(
  tx: Db,
  limit: number,
  onNumbered: OnNumbered,
  onTaken: (firstId: number | undefined) => void,
): Promise<Numbered> {
  if (!(await becomeSequencer(tx))) return { count: 0, isFull: false }
  const recorded = await takeRecorded(tx, limit)
  onTaken(recorded[0]?.id)
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
  return { count: recorded.length, isFull: recorded.length === limit }
}

async function renderAll(tx: Db, events: RecordedEvent[]): Promise<string[]> {
  const listIds = [...new Set(events.flatMap(({ listId }) => listId ?? []))]
  // read after the rows are locked: a change of fields waits for this transaction, or has stored the former ones in them
  const fields = await findFieldsOfLists(tx, listIds)
  return events.map((event) => renderPayload(event, event.fields ?? fields.get(event.listId ?? 0) ?? []))
}
