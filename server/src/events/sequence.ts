import type { Db } from '../db/db.ts'
import { isErrorOfValues, kindOfError } from '../db/pg-errors.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import type { NumberedEvent, RecordedEvent } from './event-types.ts'
import { becomeSequencer, findFieldsOfLists, insertEvents, takePositions, takeRecorded } from './events.queries.ts'
import { renderPayload } from './payloads.schema.ts'
import { setEventAside } from './set-aside.queries.ts'

export type Numbered = { count: number; isFull: boolean }

/** Maximum number of events numbered in one transaction: about 1 MB of payloads. */
const batchSize = 1_000

type OnNumbered = (tx: Db, events: NumberedEvent[]) => Promise<void>

/** An event that is set aside because of its own values, how often it was, and its error. */
export type UnnumberedEvent = { id: number; failures: number; error: unknown }

/** Maximum number of events that one call sets aside. */
const maxSetAside = 100

/** Maximum number of events of a transaction after one that is set aside, because the next one often has the same fault. */
const smallBatch = 4

type Options = { onSetAside?: (event: UnnumberedEvent) => void; clock?: Clock }

/**
 * Numbers visible events of the outbox and passes them to `onNumbered` in the same transaction. Returns how many there were,
 * and whether more may wait. One transaction numbers at a time, over all workers, so positions become visible in their order.
 * After an error of values it takes fewer events, until one fails alone: that one is set aside, so that it does not stop the
 * others, and reported to `onSetAside`. Throws other errors, after which the events are still in the outbox.
 */
export async function numberEvents(
  db: Db,
  onNumbered: OnNumbered,
  { onSetAside = () => {}, clock = systemClock }: Options = {},
): Promise<Numbered> {
  let limit = batchSize
  for (let setAside = 0; setAside < maxSetAside; ) {
    let firstId: number | undefined
    try {
      const numbered = await db.tx((tx) =>
        numberBatch(tx, limit, onNumbered, (id) => {
          firstId = id
        }),
      )
      return { ...numbered, isFull: numbered.isFull || setAside > 0 }
    } catch (error) {
      if (firstId === undefined || !isErrorOfValues(error)) throw error
      if (limit > 1) {
        limit = Math.ceil(limit / 4)
        continue
      }
      const failures = await setEventAside(db, firstId, kindOfError(error), clock.now())
      if (failures !== undefined) onSetAside({ id: firstId, failures, error })
      setAside++
      limit = smallBatch
    }
  }
  return { count: 0, isFull: true }
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
