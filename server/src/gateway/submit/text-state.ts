import { timing } from '../timing.ts'

const { partRetryMs, retryDelaysMs, throttledRetryMs, unboundRetryMs } = timing

/** Maximum retries of one part after temporary errors, if other parts were accepted: it cannot wait as long as a whole text. */
const maxPartRetries = 3

/** Parts of the text wait for tokens, a window slot, or their responses. */
type Submitting = {
  name: 'submitting'
  /** Number of parts that are handed over to be written and have no outcome yet. */
  outstanding: number
  accepted: number
  /** Parts that the carrier certainly does not have, and the delay before they may be written. */
  pending: readonly number[]
  delayMs: number
  /** The first status that rejected a part permanently. */
  rejection: number | undefined
  /** The status of a part that was rejected with a temporary error. */
  temporaryError: number | undefined
  /** A part was written and got no response. */
  isUnconfirmed: boolean
  partRetries: number
}

/**
 * The state of a text as a whole:
 *
 * - `submitting`: see above
 * - `partial`: some parts were accepted; the others are written after a delay, unless the person opts out first
 * - `requeued`: no part was sent; the text returns to its chunk after a delay
 * - `delayed`: the SMSC rejected it with a temporary error; it moves to a chunk of its own that is due after a delay
 * - `accepted`, `rejected`: all parts were accepted, or one was rejected permanently
 * - `unknown`: a part was written and got no response, or the remaining parts must not be written
 */
export type TextState =
  | Submitting
  | { name: 'partial'; accepted: number; pending: readonly number[]; delayMs: number; partRetries: number }
  | { name: 'requeued'; delayMs: number }
  | { name: 'delayed'; delayMs: number }
  | { name: 'accepted' }
  | { name: 'rejected'; status: number; accepted: number }
  | { name: 'unknown'; accepted: number }

/** Events of a text. An event of one part has its number only if the part may be written again. */
export type TextEvent =
  | { kind: 'accepted' }
  | { kind: 'rejected'; status: number }
  /** The SMSC may accept the same part a little later. */
  | { kind: 'throttled'; part: number }
  /** The SMSC reported a temporary error and may accept the same part much later. */
  | { kind: 'deferred'; part: number; status: number }
  /** The part was not written: no token, no window slot, no bind, or its mark was too old. */
  | { kind: 'returned'; part: number }
  /** The part was written and got no response. */
  | { kind: 'unconfirmed' }
  /** The first `count` pending parts are handed over to be written. */
  | { kind: 'resumed'; count: number }
  /** The pending parts must not be written. */
  | { kind: 'abandoned' }
  /** A response arrived after its deadline. */
  | { kind: 'accepted late' }

/** The facts on which transitions depend: the number of parts, and the number of earlier attempts to send the whole text. */
export type TextFacts = { parts: number; attempt: number }

const accepted: TextState = { name: 'accepted' }
const nothingPending: readonly number[] = []
const onePart: TextState = submitting(1, nothingPending)

/** Returns the state of a text whose first `count` parts are handed over to be written. Texts of one part share one object. */
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
    temporaryError: undefined,
    isUnconfirmed: false,
    partRetries,
  }
}

/** Returns the state after an event. Throws if the event cannot happen in this state. */
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
  // the only event of most texts, so it allocates nothing
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
    case 'deferred':
      next.pending = [...state.pending, event.part]
      next.temporaryError = event.status
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

/** Returns the next state when all written parts have an outcome and not all parts are accepted. */
function settle(state: Submitting, facts: TextFacts): TextState {
  const { rejection, temporaryError, pending, delayMs } = state
  if (rejection !== undefined) return { name: 'rejected', status: rejection, accepted: state.accepted }
  if (state.isUnconfirmed) return { name: 'unknown', accepted: state.accepted }
  const isPartlyAccepted = state.accepted > 0
  if (temporaryError === undefined) {
    // once a part was accepted, only the remaining parts may be written, not the whole text again
    if (!isPartlyAccepted) return { name: 'requeued', delayMs }
    return { name: 'partial', accepted: state.accepted, pending, delayMs, partRetries: state.partRetries }
  }
  if (isPartlyAccepted && state.partRetries < maxPartRetries) {
    const partRetries = state.partRetries + 1
    return { name: 'partial', accepted: state.accepted, pending, delayMs: partRetryMs, partRetries }
  }
  const retryDelayMs = isPartlyAccepted ? undefined : retryDelaysMs[facts.attempt]
  if (retryDelayMs === undefined) return { name: 'rejected', status: temporaryError, accepted: state.accepted }
  return { name: 'delayed', delayMs: retryDelayMs }
}

/** Counts the part of a late response; if it was the last part, the text is accepted. */
function afterLateResponse(state: TextState, facts: TextFacts): TextState {
  if (!('accepted' in state)) return state
  const count = state.accepted + 1
  return count === facts.parts ? accepted : { ...state, accepted: count }
}
