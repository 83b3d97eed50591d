import { setTimeout as delay } from 'node:timers/promises'
import { becomeSequencer } from '../../events/events.queries.ts'
import { feedPositions, testPositions } from '../../events/positions.ts'
import type { Job } from '../../jobs/jobs.ts'
import type { Runtime } from '../../runtime.ts'
import { deleteReplays } from '../replays/replays.queries.ts'
import { deleteIdleCallbackEndpoints } from './callback-endpoints.queries.ts'
import { disableFailing } from './endpoints.queries.ts'
import { deleteAttemptCounts, deleteAttempts, deleteDeadLetters, deleteDeliveries } from './retention.queries.ts'

const batchSize = 5_000

/** Number of endpoints that one transaction of the sequencer looks at, and maximum number of such transactions of a run. */
const sliceSize = 500
const maxTurns = 10_000

/** Pause while another sequencer works. */
const busyMs = 20

/** Time after which an endpoint is disabled if no attempt to deliver to it has succeeded. */
const maxFailingMs = 5 * 86_400_000

/** Deletes attempts, ended replays and deliveries that were not received, after `CARILLON_EVENT_DAYS`, and then unused endpoints of callbacks. */
export const deleteDeliveriesJob: Job = {
  name: 'deliveries.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - rt.config.eventDays * 86_400_000)
    while (!signal.aborted && (await deleteAttempts(rt.db, before, batchSize)) === batchSize);
    while (!signal.aborted && (await deleteAttemptCounts(rt.db, before, batchSize)) === batchSize);
    for (const range of [feedPositions, testPositions]) {
      while (!signal.aborted && (await deleteDeliveries(rt.db, range, before, batchSize)) === batchSize);
    }
    while (!signal.aborted && (await deleteDeadLetters(rt.db, before, batchSize)) === batchSize);
    while (!signal.aborted && (await deleteReplays(rt.db, before, batchSize)) === batchSize);
    await deleteIdleEndpoints(rt, signal)
  },
}

/** Deletes unused endpoints of callbacks in short transactions, because no event is numbered meanwhile. */
async function deleteIdleEndpoints(rt: Pick<Runtime, 'db' | 'clock'>, signal: AbortSignal): Promise<void> {
  let after: number | null = 0
  for (let turns = 0; after !== null && turns < maxTurns && !signal.aborted; turns++) {
    const from: number = after
    after = await rt.db.tx(async (tx) => {
      // otherwise a callback could be lost, whose delivery is being inserted
      if (!(await becomeSequencer(tx))) return from
      return deleteIdleCallbackEndpoints(tx, rt.clock.now(), from, sliceSize)
    })
    if (after === from) await delay(busyMs, undefined, { ref: false })
  }
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
