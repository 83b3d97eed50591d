import { type TurnQueue, turnsJob } from '../jobs/turns.ts'
import { type Change, deleteChange, findNextAccount, lockNextChange, postponeChange } from './changes.queries.ts'
import { applyChangesJob, applySlice, sliceNumbers } from './changes.ts'

/** Queued changes: those of a list are applied in their order, and accounts take turns. */
export const changesQueue: TurnQueue<Change> = {
  name: applyChangesJob,
  maxRows: sliceNumbers,
  nextAccount: findNextAccount,
  claim: lockNextChange,
  apply: (tx, rt, change, rows) => applySlice(tx, change, rows, rt.clock.now()),
  postpone: (tx, { id }, failures, until) => postponeChange(tx, id, failures, until),
  giveUp: (tx, _rt, { id }) => deleteChange(tx, id),
}

/** Applies queued changes. */
export const applyChanges = turnsJob(changesQueue)
