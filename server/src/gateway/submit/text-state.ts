import { timing } from '../timing.ts'

const { partRetryMs, retryDelaysMs, throttledRetryMs, unboundRetryMs } = timing

/** Retries of a part whose text is with the carrier in part: the text cannot wait for the delays of a whole one. */
const maxPartRetries = 3

/** Parts of the text wait for tokens, for a window slot, or for their responses. */
type Submitting = {
  name: 'submitting'
  /** Parts that are handed over and have no outcome yet. */
  outstanding: number
  accepted: number
  /** Parts that the carrier certainly does not have yet, and the delay before they may be written. */
  pending: readonly number[]
  delayMs: number
  /** The first status that rejected a part for good. */
  rejection: number | undefined
  /** The status of a part that an SMSC in trouble rejected. */
  trouble: number | undefined
  /** A part was written and got no response. */
  isUnconfirmed: boolean
  partRetries: number
}

/**
 * What has become of a text as a whole:
 *
 * - `submitting`: see above
 * - `partial`: the carrier has some parts; the others are written after a delay, unless the person opts out first
 * - `requeued`: no part has left; the text is queued again in its chunk after a delay
 * - `delayed`: an SMSC in trouble rejected it; it gets a chunk of its own that is due after a delay
 * - `accepted`, `rejected`: the carrier has all parts, or rejected one for good
 * - `unknown`: a part was written and got no response, or the other parts may not follow
 */
export type TextState =
  | Submitting
  | { name: 'partial'; accepted: number; pending: readonly number[]; delayMs: number; partRetries: number }
  | { name: 'requeued'; delayMs: number }
  | { name: 'delayed'; delayMs: number }
  | { name: 'accepted' }
  | { name: 'rejected'; status: number; accepted: number }
  | { name: 'unknown'; accepted: number }

/** What can happen to a text. Events of a part need its number only where it may be written again. */
export type TextEvent =
  | { kind: 'accepted' }
  | { kind: 'rejected'; status: number }
  /** The SMSC asks for the same part a little later. */
  | { kind: 'throttled'; part: number }
  /** The SMSC is in trouble and may take the same part much later. */
  | { kind: 'troubled'; part: number; status: number }
  /** The part was not written: no token, no window slot, no bind, or its mark was too old. */
  | { kind: 'returned'; part: number }
  | { kind: 'unconfirmed' }
  /** The first `count` pending parts are handed over. */
  | { kind: 'resumed'; count: number }
  /** The pending parts must not be written any more. */
  | { kind: 'abandoned' }
  /** A response came after its deadline. */
  | { kind: 'accepted late' }

/** What a transition needs to know of the text: its parts, and how often the whole text was tried before. */
export type TextFacts = { parts: number; attempt: number }

const accepted: TextState = { name: 'accepted' }
const nothingPending: readonly number[] = []
const onePart: TextState = submitting(1, nothingPending)

/** The state of a text of which the first `count` parts are handed over. Texts of one part share one object. */
export function initialState(parts: number, count: number): TextState {
  if (parts === 1 && count === 1) return onePart
  const pending: number[] = []
  for (let part = count; part < parts; part++) pending.push(part)
  return submitting(count, pending)
}

function submitting(outstanding: number, pending: readonly number[], acceptedParts = 0, partRetries = 0): Submitting {
  return {
    name: 'submitting',
    outstanding,
    accepted: acceptedParts,
    pending,
    delayMs: 0,
    rejection: undefined,
    trouble: undefined,
    isUnconfirmed: false,
    partRetries,
  }
}

/** The state after an event. Throws when the event cannot happen in this state. */
export function transition(state: TextState, event: TextEvent, facts: TextFacts): TextState {
  if (event.kind === 'accepted late') return afterLateResponse(state, facts)
  if (state.name === 'submitting') return afterOutcome(state, event, facts)
  if (state.name === 'partial') {
    if (event.kind === 'abandoned') return { name: 'unknown', accepted: state.accepted }
    if (event.kind === 'resumed') {
      return submitting(event.count, state.pending.slice(event.count), state.accepted, state.partRetries)
    }
  }
  throw new Error(`a text that is ${state.name} cannot be ${event.kind}`)
}

function afterOutcome(state: Submitting, event: TextEvent, facts: TextFacts): TextState {
  // of most texts the only event, so nothing is allocated for it
  if (event.kind === 'accepted' && state.accepted + 1 === facts.parts) return accepted
  const next: Submitting = { ...state, outstanding: state.outstanding - 1 }
  switch (event.kind) {
    case 'accepted':
      next.accepted++
      break
    case 'rejected':
      next.rejection ??= event.status
      break
    case 'throttled':
      next.pending = [...state.pending, event.part]
      next.delayMs = throttledRetryMs
      break
    case 'troubled':
      next.pending = [...state.pending, event.part]
      next.trouble = event.status
      break
    case 'returned':
      next.pending = [...state.pending, event.part]
      next.delayMs = Math.max(state.delayMs, unboundRetryMs)
      break
    case 'unconfirmed':
      next.isUnconfirmed = true
      break
    default:
      throw new Error(`a text that is submitting cannot be ${event.kind}`)
  }
  return next.outstanding === 0 ? settle(next, facts) : next
}

/** All parts that were handed over have their outcome, and not all parts are accepted. */
function settle(state: Submitting, facts: TextFacts): TextState {
  const { rejection, trouble, pending, delayMs } = state
  if (rejection !== undefined) return { name: 'rejected', status: rejection, accepted: state.accepted }
  if (state.isUnconfirmed) return { name: 'unknown', accepted: state.accepted }
  const isBegun = state.accepted > 0
  if (trouble === undefined) {
    // once the carrier has a part, the text cannot start anew: only its other parts are written again
    if (!isBegun) return { name: 'requeued', delayMs }
    return { name: 'partial', accepted: state.accepted, pending, delayMs, partRetries: state.partRetries }
  }
  if (isBegun && state.partRetries < maxPartRetries) {
    const partRetries = state.partRetries + 1
    return { name: 'partial', accepted: state.accepted, pending, delayMs: partRetryMs, partRetries }
  }
  const retryDelayMs = isBegun ? undefined : retryDelaysMs[facts.attempt]
  if (retryDelayMs === undefined) return { name: 'rejected', status: trouble, accepted: state.accepted }
  return { name: 'delayed', delayMs: retryDelayMs }
}

/** A late response counts a part; where that was the last one missing, the text was accepted after all. */
function afterLateResponse(state: TextState, facts: TextFacts): TextState {
  if (!('accepted' in state)) return state
  const count = state.accepted + 1
  return count === facts.parts ? accepted : { ...state, accepted: count }
}
