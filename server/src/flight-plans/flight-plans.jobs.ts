import { enqueue, type Job } from '../jobs/jobs.ts'
import { deleteFlightPlans, findPending, finishFlightPlan } from './flight-plans.queries.ts'
import { computeFlightPlan, computeJob } from './flight-plans.ts'

/** The accounts of which this process computes a plan. */
const computing = new Set<number>()

/**
 * Computes a flight plan. A concurrent run, or one after a crash, starts from the beginning. A process computes one plan
 * of an account at a time; another one is enqueued again, behind those of other accounts.
 */
export const computeFlightPlanJob: Job<{ flightPlanId: number }> = {
  name: computeJob,
  options: { concurrency: 4, retries: 5 },
  async run(rt, { flightPlanId }, signal) {
    const plan = await findPending(rt.db, flightPlanId)
    if (!plan) return
    if (computing.has(plan.accountId)) {
      await enqueue(rt.db, computeJob, { flightPlanId }, { startAfterSeconds: 1 })
      return
    }
    computing.add(plan.accountId)
    try {
      await computeFlightPlan(rt, flightPlanId, signal)
    } finally {
      computing.delete(plan.accountId)
    }
  },
  async onFinalFailure(rt, { flightPlanId }) {
    await finishFlightPlan(rt.db, flightPlanId, null, rt.clock.now())
  },
}

/** Deletes flight plans that are older than a day, because lists change and old forecasts are misleading. */
export const forgetFlightPlansJob: Job = {
  name: 'flight-plans.forget',
  async run(rt) {
    await deleteFlightPlans(rt.db, new Date(rt.clock.now().getTime() - 86_400_000))
  },
}
