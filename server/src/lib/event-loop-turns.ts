/** Time for which work on behalf of one caller may occupy the event loop before the others get a turn. */
const turnMs = 5

const waiting: (() => void)[] = []

/** Resumes one waiter per iteration of the event loop, so that many of them do not add up to one long turn. */
function resumeNext() {
  waiting.shift()?.()
  if (waiting.length > 0) setImmediate(resumeNext)
}

/** Interrupts long work of one caller, so that the process can handle other requests meanwhile. */
export class EventLoopTurns {
  #since = performance.now()

  /** Resolves at once while the current turn lasts; otherwise when it is this caller's turn again. */
  async yieldIfDue(): Promise<void> {
    if (performance.now() - this.#since < turnMs) return
    await new Promise<void>((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(resumeNext)
    })
    this.#since = performance.now()
  }
}
