import { randomUUID } from 'node:crypto'

import { closeOverdueJob, createLogDaysJob, deleteAttemptsJob } from '../broadcasts/broadcasts.jobs.ts'
import { createLogDaysAhead } from '../broadcasts/close.ts'
import { retryFailed, sweeps } from '../broadcasts/sweeps.ts'
import { version } from '../config/version.ts'
import { makeSealer } from '../connections/secrets.ts'
import { keySettings } from '../db/by-keys.ts'
import { poolDb } from '../db/db.ts'
import { idleTransactionTimeout, makePool } from '../db/pool.ts'
import { SmallWork } from '../db/small-work.ts'
import { listenForWork } from '../db/wake.ts'
import { deleteEventsJob, returnEventsJob } from '../events/events.jobs.ts'
import { reportResults, reportSent } from '../events/message-events.ts'
import { numberEvents } from '../events/sequence.ts'
import { makeSetAsideReporter } from '../events/set-aside.ts'
import { computeFlightPlanJob, forgetFlightPlansJob } from '../flight-plans/flight-plans.jobs.ts'
import { forgetIdempotencyKeysJob } from '../http/idempotency.jobs.ts'
import { applyImport } from '../imports/imports.jobs.ts'
import { deleteInboundJob, reopenOptOuts, reportIncompleteJob } from '../inbound/inbound.jobs.ts'
import { startJobs } from '../jobs/boss.ts'
import type { Job, Schedule } from '../jobs/jobs.ts'
import { makeGuardedFetch } from '../lib/guarded-fetch.ts'
import { Repeater } from '../lib/repeater.ts'
import { deleteClicksJob } from '../links/clicks.jobs.ts'
import { foldListDeltasJob, recordListSizesJob } from '../lists/lists.jobs.ts'
import { correctPausedFlags } from '../log/pause.queries.ts'
import { cleanSoftBouncedJob } from '../opt-ins/opt-ins.jobs.ts'
import { deleteReceiptsJob } from '../receipts/receipts.jobs.ts'
import { removeLogDaysJob } from '../reports/archive/archives.jobs.ts'
import { deleteReportFilesJob, runReports } from '../reports/momt-reports.jobs.ts'
import type { Runtime } from '../runtime.ts'
import { applyChanges } from '../subscribers/subscribers.jobs.ts'
import { upsertHeartbeat } from '../system/heartbeats.queries.ts'
import { forgetHeartbeatsJob } from '../system/system.jobs.ts'
import { insertDeliveries } from '../webhooks/delivery/deliveries.queries.ts'
import { deleteDeliveriesJob, disableFailingJob } from '../webhooks/delivery/delivery.jobs.ts'
import { WebhookDispatcher } from '../webhooks/delivery/dispatcher.ts'
import { applyReplays } from '../webhooks/replays/replays.jobs.ts'
import { deleteWebhooksJob } from '../webhooks/webhooks.jobs.ts'
import { runRole } from './role.ts'

const jobs: Job[] = [
  applyImport,
  applyChanges,
  closeOverdueJob,
  cleanSoftBouncedJob,
  createLogDaysJob,
  foldListDeltasJob,
  recordListSizesJob,
  forgetHeartbeatsJob,
  deleteInboundJob,
  reportIncompleteJob,
  deleteReceiptsJob,
  deleteAttemptsJob,
  forgetIdempotencyKeysJob,
  computeFlightPlanJob,
  forgetFlightPlansJob,
  deleteEventsJob,
  returnEventsJob,
  deleteDeliveriesJob,
  disableFailingJob,
  applyReplays,
  deleteWebhooksJob,
  runReports,
  deleteReportFilesJob,
  deleteClicksJob,
  removeLogDaysJob,
]

const schedules: Schedule[] = [
  { name: closeOverdueJob.name, everySeconds: 60 },
  { name: foldListDeltasJob.name, everySeconds: 5 },
  { name: recordListSizesJob.name, everySeconds: 300 },
  { name: cleanSoftBouncedJob.name, everySeconds: 10 },
  { name: createLogDaysJob.name, everySeconds: 3_600 },
  { name: deleteInboundJob.name, everySeconds: 3_600 },
  { name: reportIncompleteJob.name, everySeconds: 600 },
  { name: deleteReceiptsJob.name, everySeconds: 3_600 },
  { name: deleteAttemptsJob.name, everySeconds: 3_600 },
  { name: forgetHeartbeatsJob.name, everySeconds: 3_600 },
  { name: forgetIdempotencyKeysJob.name, everySeconds: 3_600 },
  { name: forgetFlightPlansJob.name, everySeconds: 3_600 },
  { name: deleteEventsJob.name, everySeconds: 3_600 },
  { name: returnEventsJob.name, everySeconds: 3_600 },
  { name: deleteDeliveriesJob.name, everySeconds: 3_600 },
  { name: disableFailingJob.name, everySeconds: 600 },
  { name: deleteWebhooksJob.name, everySeconds: 60 },
  { name: deleteReportFilesJob.name, everySeconds: 3_600 },
  { name: deleteClicksJob.name, everySeconds: 3_600 },
  { name: removeLogDaysJob.name, everySeconds: 300 },
]

/** Identifies Carillon to the receivers of events. */
const userAgent = `Carillon/${version}`

/** Number of turns that do small work at a time, each with a connection. */
const smallPlaces = 4

await runRole('worker', startWorker)

/** Starts the worker role: sweeps, jobs and schedules. Any number of workers share the work. */
async function startWorker(rt: Runtime) {
  const { db, log } = rt
  const instanceId = randomUUID()
  const repeat = (work: () => Promise<unknown>, pauseMs: number, task: string) =>
    new Repeater(work, pauseMs, (error) => log.warn({ err: error }, `failed to ${task}, retrying`))
  await createLogDaysAhead(rt)
  const retry = repeat(() => retryFailed(rt), 1_000, 'retry failed work on messages')
  const correctFlags = repeat(() => correctPausedFlags(db), 1_000, 'flag the chunks of paused messages')
  const reopen = repeat(() => reopenOptOuts(db), 1_000, 'apply opt-outs to new short codes')
  const repeatSweep = ({ name, everyMs, round }: (typeof sweeps)[keyof typeof sweeps]) =>
    everyMs === null ? [] : [repeat(() => round(rt), everyMs, name)]
  const { expand, ...others } = sweeps
  const expansionRepeaters = repeatSweep(expand)
  const sweepRepeaters = [...expansionRepeaters, ...Object.values(others).flatMap(repeatSweep)]
  const heartbeat = repeat(
    () => upsertHeartbeat(db, 'worker', instanceId, { metrics: rt.metrics.snapshotIfDue() }),
    1_000,
    'update the heartbeat',
  )
  // the queue of deliveries is often empty, and full a second later, so its statements need plans that are good for both
  const eventPool = makePool(rt.databaseUrl, log, {
    max: 6,
    name: 'carillon worker events',
    isBackground: true,
    settings: { ...keySettings, ...idleTransactionTimeout(rt.config.send.leaseMs) },
  })
  const eventRt = { ...rt, db: poolDb(eventPool) }
  const fetch = makeGuardedFetch({ allowed: rt.config.allowPrivateUrls, extraCaFile: rt.config.extraCaFile })
  const sealer = makeSealer(rt.config)
  if (!sealer) log.warn('no secret key, events are not delivered to webhooks')
  const dispatcher = sealer && new WebhookDispatcher(eventRt, { fetch, clock: rt.clock, userAgent, sealer })
  const dispatch = repeat(async () => dispatcher?.round(), 250, 'deliver events')
  const report = repeat(() => reportSent(rt), 1_000, 'report sent broadcasts')
  const results = repeat(() => reportResults(rt), 1_000, 'report results of transactional messages')
  const onSetAside = makeSetAsideReporter(log)
  const number = repeat(
    async () => {
      const { count, isFull } = await numberEvents(
        eventRt.db,
        (tx, events) => insertDeliveries(tx, events, rt.clock.now()),
        { onSetAside, clock: rt.clock },
      )
      if (count > 0) dispatch.now()
      return isFull
    },
    200,
    'number events',
  )
  const smallPool = makePool(rt.databaseUrl, log, {
    max: smallPlaces,
    name: 'carillon worker small',
    settings: idleTransactionTimeout(rt.config.send.leaseMs),
  })
  const smallWork = new SmallWork(poolDb(smallPool), smallPlaces)
  const jobRunner = await startJobs({ ...rt, smallWork }, jobs, schedules)
  const stopped = new AbortController()
  listenForWork(rt.databaseUrl, log, stopped.signal, (work) => {
    if (work === 'expansions') for (const repeater of expansionRepeaters) repeater.now()
  })
  const repeaters = [retry, correctFlags, reopen, heartbeat, report, results, number, dispatch, ...sweepRepeaters]
  for (const repeater of repeaters) repeater.start()
  return {
    async stop() {
      stopped.abort()
      await Promise.all([...repeaters.map((repeater) => repeater.stop()), jobRunner.stop()])
      await dispatcher?.stop()
      await Promise.all([eventPool.end(), smallPool.end()])
    },
  }
}
