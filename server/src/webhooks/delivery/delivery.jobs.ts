import { becomeSequencer } from '../../events/events.queries.ts'
import type { Job } from '../../jobs/jobs.ts'
import { deleteReplays } from '../replays/replays.queries.ts'
import { deleteAttemptCounts, deleteAttempts, deleteDeadLetters, deleteDeliveries } from './deliveries.queries.ts'
import { deleteIdleCallbackEndpoints, disableFailing } from './endpoints.queries.ts'

const batchSize = 5_000

/** Time after which an endpoint is disabled if no attempt to deliver to it has succeeded. */
const maxFailingMs = 5 * 86_400_000

/** Deletes attempts, ended replays and deliveries that were not received, after `CARILLON_EVENT_DAYS`, and then unused endpoints of callbacks. */
export const deleteDeliveriesJob: Job = {
  name: 'deliveries.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - rt.config.eventDays * 86_400_000)
    while (!signal.aborted && (await deleteAttempts(rt.db, before, batchSize)) === batchSize);
    while (!signal.aborted && (await deleteAttemptCounts(rt.db, before, batchSize)) === batchSize);
    while (!signal.aborted && (await deleteDeliveries(rt.db, before, batchSize)) === batchSize);
    while (!signal.aborted && (await deleteDeadLetters(rt.db, before, batchSize)) === batchSize);
    while (!signal.aborted && (await deleteReplays(rt.db, before, batchSize)) === batchSize);
    await rt.db.tx(async (tx) => {
      // otherwise a callback could be lost, whose delivery is being inserted
      if (await becomeSequencer(tx)) await deleteIdleCallbackEndpoints(tx, rt.clock.now(), batchSize)
    })
  },
}

/** Disables the endpoints to which every attempt has failed for five days; their events are kept. */
export const disableFailingJob: Job = {
  name: 'endpoints.disable',
  async run(rt) {
    const now = rt.clock.now()
    for (const id of await disableFailing(rt.db, new Date(now.getTime() - maxFailingMs), now)) {
      rt.log.warn({ endpoint: id }, 'endpoint failed for five days, it is disabled')
    }
  },
}
