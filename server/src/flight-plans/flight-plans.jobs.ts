import type { Job } from '../jobs/jobs.ts'
import { deleteFlightPlans, finishFlightPlan } from './flight-plans.queries.ts'
import { computeFlightPlan, computeJob } from './flight-plans.ts'

/** Reckons a flight plan. Another run beside it, or after a crash, begins anew. */
export const computeFlightPlanJob: Job<{ flightPlanId: number }> = {
  name: computeJob,
  options: { concurrency: 2, retries: 5 },
  run: (rt, { flightPlanId }, signal) => computeFlightPlan(rt, flightPlanId, signal),
  async gaveUp(rt, { flightPlanId }) {
    await finishFlightPlan(rt.db, flightPlanId, null, rt.clock.now())
  },
}

/** Forgets the flight plans of yesterday: lists change. */
export const forgetFlightPlansJob: Job = {
  name: 'flight-plans.forget',
  async run(rt) {
    await deleteFlightPlans(rt.db, new Date(rt.clock.now().getTime() - 86_400_000))
  },
}
