import type { Job } from '../jobs/jobs.ts'
import { deleteEvents, returnEvents } from './events.queries.ts'

const batchSize = 5_000

/** Tries to number up to `batchSize` events that were set aside again, of which many may have the same cause. */
export const returnEventsJob: Job = {
  name: 'events.return',
  async run(rt) {
    await returnEvents(rt.db, batchSize)
  },
}

/** Deletes events after `CARILLON_EVENT_DAYS`, except those that wait to be delivered. */
export const deleteEventsJob: Job = {
  name: 'events.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - rt.config.eventDays * 86_400_000)
    while (!signal.aborted && (await rt.db.tx((tx) => deleteEvents(tx, before, batchSize))) > 0);
  },
}
