import { type TurnQueue, turnsJob } from '../jobs/turns.ts'
import { applyJob, applySliceIn, endImport, isSliceRace } from './imports.ts'
import { findNextAccount, findNextImport, type OpenImport, postponeImport } from './slices.queries.ts'

const fault = 'an internal error; rows after the applied ones were not changed'

/** Open imports: those of an account are applied in their order, slice by slice, and accounts take turns. */
export const importsQueue: TurnQueue<OpenImport> = {
  name: applyJob,
  nextAccount: findNextAccount,
  claim: findNextImport,
  apply: async (tx, rt, { id }) => void (await applySliceIn(tx, rt, id)),
  postpone: (tx, { id }, failures, until) => postponeImport(tx, id, failures, until),
  giveUp: (tx, rt, { id }) => endImport(tx, id, fault, rt.clock.now()),
  options: { isRace: isSliceRace },
}

/** Applies imports. */
export const applyImport = turnsJob(importsQueue)
