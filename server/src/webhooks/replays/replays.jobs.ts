import { type TurnQueue, turnsJob } from '../../jobs/turns.ts'
import {
  failReplay,
  findNextAccountWithReplays,
  lockNextReplay,
  type OpenReplay,
  postponeReplay,
} from './replays.queries.ts'
import { applyReplaySlice, applyReplaysJob, sliceRows } from './replays.ts'

/** Queued replays: those of an account in their order, and accounts take turns. */
export const replaysQueue: TurnQueue<OpenReplay> = {
  name: applyReplaysJob,
  maxRows: sliceRows,
  nextAccount: findNextAccountWithReplays,
  claim: lockNextReplay,
  apply: applyReplaySlice,
  postpone: (tx, { id }, failures, until) => postponeReplay(tx, id, failures, until),
  giveUp: (tx, rt, { id }) => failReplay(tx, id, rt.clock.now()),
}

/** Queues the deliveries of replays. */
export const applyReplays = turnsJob(replaysQueue)
