import type { ValueRules } from '../custom-fields/values.ts'
import type { Db } from '../db/db.ts'
import { isErrorOfValues, kindOfError } from '../db/pg-errors.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import type { NumberedEvent, RecordedEvent } from './event-types.ts'
import {
  becomeSequencer,
  findFieldsOfEvents,
  hasRecorded,
  insertEvents,
  takePositions,
  takeRecorded,
} from './events.queries.ts'
import { renderPayload } from './payloads.schema.ts'
import { setEventAside } from './set-aside.queries.ts'

export type Numbered = { count: number; isFull: boolean }

/** Maximum number of events numbered in one transaction: about 1 MB of payloads. */
const batchSize = 1_000

/** Maximum characters of the payloads of one transaction with several events: one with long custom fields may have 2 MB. */
const maxBatchLength = 16 * 2 ** 20

type OnNumbered = (tx: Db, events: NumberedEvent[]) => Promise<void>

/** An event that is set aside because of its own values, how often it was, and its error. */
export type UnnumberedEvent = { id: number; failures: number; error: unknown }

/** Maximum number of events that one call sets aside. */
const maxSetAside = 100

/** Maximum number of events of a transaction after one that is set aside, because the next one often has the same fault. */
const smallBatch = 4

/** Thrown if the payloads of a batch are too long together; the first `fitting` ones are not. */
class LongBatch extends Error {
  readonly fitting: number

  constructor(fitting: number) {
    super(`${fitting} events have as many characters as a batch may have`)
    this.fitting = fitting
  }
}

type Options = { onSetAside?: (event: UnnumberedEvent) => void; clock?: Clock }

/**
 * Numbers visible events of the outbox and passes them to `onNumbered` in the same transaction. Returns how many there were,
 * and whether more may wait. Large events are numbered in smaller transactions. One transaction numbers at a time, over all workers, so positions become visible in their order.
 * After an error of values it takes fewer events, until one fails alone: that one is set aside, so that it does not stop the
 * others, and reported to `onSetAside`. Throws other errors, after which the events are still in the outbox.
 */
export async function numberEvents(
  db: Db,
  onNumbered: OnNumbered,
  { onSetAside = () => {}, clock = systemClock }: Options = {},
): Promise<Numbered> {
  // rounds follow each other several times a second, and a lock would make each of them wait for a write to the disk
  if (!(await hasRecorded(db))) return { count: 0, isFull: false }
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
        limit = error instanceof LongBatch ? error.fitting : Math.ceil(limit / 4)
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
  const { events: recorded, isFull } = await takeRecorded(tx, limit)
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
  return { count: recorded.length, isFull }
}

async function renderAll(tx: Db, events: RecordedEvent[]): Promise<string[]> {
  const payloads: string[] = []
  let length = 0
  let read = new Map<number, ValueRules[]>()
  for (const [n, event] of events.entries()) {
    if (hasList(event) && !read.has(event.id)) read = await readFields(tx, events.slice(n))
    const payload = renderPayload(event, read.get(event.id) ?? [])
    length += payload.length
    if (length > maxBatchLength && payloads.length > 0) throw new LongBatch(payloads.length)
    payloads.push(payload)
  }
  return payloads
}

/** Number of events whose fields are looked up at a time: those of many lists are looked up again for each 20 lists. */
const eventsPerRead = 200

/** Returns the fields of the first of these events, by their ids. */
async function readFields(tx: Db, events: RecordedEvent[]): Promise<Map<number, ValueRules[]>> {
  const found = await findFieldsOfEvents(tx, events.slice(0, eventsPerRead).filter(hasList))
  return new Map(found.flatMap(({ ids, fields }) => (fields ? ids.map((id) => [id, fields] as const) : [])))
}

const hasList = (event: RecordedEvent): event is RecordedEvent & { listId: number } => event.listId !== null
