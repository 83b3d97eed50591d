import { computeJob } from '../../flight-plans/flight-plans.ts'
import { applyJob } from '../../imports/imports.ts'
import { runReportsJob } from '../../reports/momt-reports.ts'
import { applyChangesJob } from '../../subscribers/changes.ts'
import { applyReplaysJob } from '../../webhooks/replays/replays.ts'

/** The jobs that requests enqueue. Backups contain the unfinished ones; jobs of schedules are enqueued again anyway. */
export const jobsOfRequests: readonly string[] = [applyJob, applyChangesJob, applyReplaysJob, computeJob, runReportsJob]
