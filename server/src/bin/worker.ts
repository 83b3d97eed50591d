import { randomUUID } from 'node:crypto'
import { billSent } from '../broadcasts/bill.ts'
import { closeOverdueJob, forgetAttemptsJob, makeLogDaysJob } from '../broadcasts/broadcasts.jobs.ts'
import { cancelQueued } from '../broadcasts/cancelled.ts'
import { makeLogDaysAhead } from '../broadcasts/close.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { reopenClosed, suppressLate } from '../broadcasts/reopen.ts'
import { listenForWork } from '../db/wake.ts'
import { computeFlightPlanJob, forgetFlightPlansJob } from '../flight-plans/flight-plans.jobs.ts'
import { forgetIdempotencyKeysJob } from '../http/idempotency.jobs.ts'
import { applyImport } from '../imports/imports.jobs.ts'
import { startJobs } from '../jobs/boss.ts'
import type { Job, Schedule } from '../jobs/jobs.ts'
import { Repeater } from '../lib/repeater.ts'
import { foldListDeltasJob } from '../lists/lists.jobs.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { alignChunks } from '../log/pause.queries.ts'
import { startDue } from '../messages/drafts/drafts.ts'
import { cleanSoftBouncedJob } from '../opt-ins/opt-ins.jobs.ts'
import { forgetReceiptsJob } from '../receipts/receipts.jobs.ts'
import type { Runtime } from '../runtime.ts'
import { applyChanges } from '../subscribers/subscribers.jobs.ts'
import { beat } from '../system/heartbeats.queries.ts'
import { forgetHeartbeatsJob } from '../system/system.jobs.ts'
import { runRole } from './role.ts'

const jobs: Job[] = [
  applyImport,
  applyChanges,
  closeOverdueJob,
  cleanSoftBouncedJob,
  makeLogDaysJob,
  foldListDeltasJob,
  forgetHeartbeatsJob,
  forgetReceiptsJob,
  forgetAttemptsJob,
  forgetIdempotencyKeysJob,
  computeFlightPlanJob,
  forgetFlightPlansJob,
]

const schedules: Schedule[] = [
  { name: foldListDeltasJob.name, everySeconds: 5 },
  { name: closeOverdueJob.name, everySeconds: 60 },
  { name: cleanSoftBouncedJob.name, everySeconds: 10 },
  { name: makeLogDaysJob.name, everySeconds: 3_600 },
  { name: forgetReceiptsJob.name, everySeconds: 3_600 },
  { name: forgetAttemptsJob.name, everySeconds: 3_600 },
  { name: forgetHeartbeatsJob.name, everySeconds: 3_600 },
  { name: forgetIdempotencyKeysJob.name, everySeconds: 3_600 },
  { name: forgetFlightPlansJob.name, everySeconds: 3_600 },
]

await runRole('worker', startWorker)

/** Writes audiences, finishes messages and runs jobs. Any number of workers share the work. */
async function startWorker(rt: Runtime) {
  const { db, log, clock } = rt
  const instanceId = randomUUID()
  const repeat = (work: () => Promise<unknown>, pauseMs: number, what: string) =>
    new Repeater(work, pauseMs, (error) => log.warn({ err: error }, `failed to ${what}, retrying`))
  const passingOver = (work: (rt: Runtime, failed: Set<number>) => Promise<boolean>) => {
    const failed = new Set<number>()
    return () => work(rt, failed)
  }
  await makeLogDaysAhead(rt)
  const expand = repeat(() => expandOnce(rt), 500, 'write audiences')
  const due = repeat(passingOver(startDue), 250, 'start scheduled messages')
  const cancel = repeat(() => cancelQueued(rt), 250, 'cancel queued texts')
  const reopen = repeat(passingOver(reopenClosed), 250, 'reopen closed chunks')
  const late = repeat(() => suppressLate(rt), 250, 'suppress late texts')
  const align = repeat(() => alignChunks(db), 1_000, 'flag the chunks of paused messages')
  const finish = repeat(() => finishMessages(db, clock.now()), 250, 'end messages')
  const bill = repeat(passingOver(billSent), 1_000, 'write bills')
  const heartbeat = repeat(
    () => beat(db, 'worker', instanceId, { metrics: rt.metrics.news() }),
    1_000,
    'update the heartbeat',
  )
  const running = await startJobs(rt, jobs, schedules)
  const stopped = new AbortController()
  listenForWork(rt.databaseUrl, log, stopped.signal, (work) => {
    if (work === 'expansions') expand.now()
  })
  const repeaters = [expand, due, cancel, reopen, late, align, finish, bill, heartbeat]
  for (const repeater of repeaters) repeater.start()
  return {
    async stop() {
      stopped.abort()
      await Promise.all([...repeaters.map((repeater) => repeater.stop()), running.stop()])
    },
  }
}
