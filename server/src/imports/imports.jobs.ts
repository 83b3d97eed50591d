import { type TurnQueue, turnsJob } from '../jobs/turns.ts'
import { applyJob, applySliceIn, endImport, isSliceRace, sliceRows } from './imports.ts'
import { findNextAccount, findNextImport, type OpenImport, postponeImport } from './slices.queries.ts'

const fault = 'an internal error; rows after the applied ones were not changed'

/** Open imports: those of an account are applied in their order, slice by slice, and accounts take turns. */
export const importsQueue: TurnQueue<OpenImport> = {
  name: applyJob,
  maxRows: sliceRows,
  nextAccount: findNextAccount,
  claim: findNextImport,
  apply: (tx, rt, { id }, rows) => applySliceIn(tx, rt, id, rows),
  postpone: (tx, { id }, failures, until) => postponeImport(tx, id, failures, until),
  giveUp: (tx, rt, { id }) => endImport(tx, id, fault, rt.clock.now()),
  options: { isRace: isSliceRace },
}

/** Applies imports. */
export const applyImport = turnsJob(importsQueue)
