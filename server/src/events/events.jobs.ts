import type { Job } from '../jobs/jobs.ts'
import { deleteEvents, deleteFieldsOfEvents } from './events.queries.ts'
import { feedPositions, testPositions } from './positions.ts'
import { returnEvents } from './set-aside.queries.ts'

const batchSize = 5_000

/** Number of events that are returned at a time: few, because newer events wait while each one fails alone. */
const returnedSize = 500

/** Returns events that were set aside and are due to the outbox. */
export const returnEventsJob: Job = {
  name: 'events.return',
  async run(rt) {
    await returnEvents(rt.db, { dueAt: rt.clock.now() }, returnedSize)
  },
}

/** Deletes events after `CARILLON_EVENT_DAYS`, except those that wait to be delivered, and stored fields that no event needs. */
export const deleteEventsJob: Job = {
  name: 'events.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - rt.config.eventDays * 86_400_000)
    for (const range of [feedPositions, testPositions]) {
      while (!signal.aborted && (await rt.db.tx((tx) => deleteEvents(tx, range, before, batchSize))) > 0);
    }
    while (!signal.aborted && (await deleteFieldsOfEvents(rt.db, batchSize)) === batchSize);
  },
}
