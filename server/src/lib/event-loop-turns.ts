/** Time for which work on behalf of one caller may occupy the event loop before the others get a turn. */
const turnMs = 5

/**
 * Pause after work that delays short requests, in which these are completed: at least this, and as long as the work took, so
 * that they get half of the thread.
 */
const minPauseMs = 5

let shortRequests = 0

/** Notes that a short request has begun: work in turns pauses until `endShortRequest` has been called for each. */
export function beginShortRequest(): void {
  shortRequests++
}

/** Notes that a short request has ended. */
export function endShortRequest(): void {
  shortRequests--
}

type Waiter = { resume: () => void; isLong: boolean }

/** The waiters by caller; the callers take turns in the order of the map. */
const waiting = new Map<number | undefined, Waiter[]>()
let isScheduled = false

function waitForTurn(caller: number | undefined, isLong: boolean): Promise<void> {
  return new Promise((resume) => {
    const others = waiting.get(caller)
    if (others) others.push({ resume, isLong })
    else waiting.set(caller, [{ resume, isLong }])
    if (isScheduled) return
    isScheduled = true
    setImmediate(resumeNext)
  })
}

/** Resumes one waiter per iteration of the event loop, so that many of them do not add up to one long turn. */
function resumeNext() {
  const next = takeNext()
  isScheduled = next !== undefined
  if (!next) return
  const startedAt = performance.now()
  next.resume()
  // a short request takes an iteration for each of its statements, so work in every iteration would delay it many times;
  // the work begins after this function has returned, and the pause after the work
  if (next.isLong || shortRequests > 0) {
    setImmediate(() => setTimeout(resumeNext, Math.max(minPauseMs, performance.now() - startedAt)))
  } else {
    setImmediate(resumeNext)
  }
}

/** Removes the first waiter of the next caller, whose others come after those of all other callers. */
function takeNext(): Waiter | undefined {
  for (const [caller, waiters] of waiting) {
    const next = waiters.shift()
    waiting.delete(caller)
    if (waiters.length > 0) waiting.set(caller, waiters)
    return next
  }
  return undefined
}

/** Interrupts long work of one caller, so that the process can handle other requests meanwhile. */
export class EventLoopTurns {
  readonly #caller: number | undefined
  #since = performance.now()

  /** `caller` is an account: those that have several such loops get no more turns than others. */
  constructor(caller?: number) {
    this.#caller = caller
  }

  /** Resolves at once while the current turn lasts; otherwise when it is this caller's turn again. */
  async yieldIfDue(): Promise<void> {
    if (performance.now() - this.#since < turnMs) return
    await waitForTurn(this.#caller, false)
    this.#since = performance.now()
  }
}

/**
 * Resolves when work of an account that cannot be interrupted, such as parsing a large body, may start; accounts take turns,
 * and a pause follows each.
 */
export function waitForLongTurn(accountId: number): Promise<void> {
  return waitForTurn(accountId, true)
}
