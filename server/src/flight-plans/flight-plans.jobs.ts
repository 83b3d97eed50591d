import type { Job } from '../jobs/jobs.ts'
import { deleteFlightPlans, finishFlightPlan } from './flight-plans.queries.ts'
import { computeFlightPlan, computeJob } from './flight-plans.ts'

/** Computes a flight plan. A concurrent run, or one after a crash, starts from the beginning. */
export const computeFlightPlanJob: Job<{ flightPlanId: number }> = {
  name: computeJob,
  options: { concurrency: 2, retries: 5 },
  run: (rt, { flightPlanId }, signal) => computeFlightPlan(rt, flightPlanId, signal),
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
