/** Time for which work on behalf of one caller may occupy the event loop before the others get a turn. */
const turnMs = 5

/** Pause after work that delays short requests, in which these are completed. */
const pauseMs = 5

let shortRequests = 0

/** Notes that a short request has begun: work in turns pauses until `endShortRequest` has been called for each. */
export function beginShortRequest(): void {
  shortRequests++
}

/** Notes that a short request has ended. */
export function endShortRequest(): void {
  shortRequests--
}

const waiting: { resume: () => void; isLong: boolean }[] = []
let isScheduled = false

function waitForTurn(isLong: boolean): Promise<void> {
  return new Promise((resume) => {
    waiting.push({ resume, isLong })
    if (isScheduled) return
    isScheduled = true
    setImmediate(resumeNext)
  })
}

/** Resumes one waiter per iteration of the event loop, so that many of them do not add up to one long turn. */
function resumeNext() {
  const next = waiting.shift()
  isScheduled = next !== undefined
  if (!next) return
  next.resume()
  // a short request takes an iteration for each of its statements, so work in every iteration would delay it many times;
  // the work begins after this function has returned, and the pause after the work
  if (next.isLong || shortRequests > 0) setImmediate(() => setTimeout(resumeNext, pauseMs))
  else setImmediate(resumeNext)
}

/** Interrupts long work of one caller, so that the process can handle other requests meanwhile. */
export class EventLoopTurns {
  #since = performance.now()

  /** Resolves at once while the current turn lasts; otherwise when it is this caller's turn again. */
  async yieldIfDue(): Promise<void> {
    if (performance.now() - this.#since < turnMs) return
    await waitForTurn(false)
    this.#since = performance.now()
  }
}

/** Resolves when work that cannot be interrupted, such as parsing a large body, may start; a pause follows each. */
export function waitForLongTurn(): Promise<void> {
  return waitForTurn(true)
}
