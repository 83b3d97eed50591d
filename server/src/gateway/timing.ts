// Every duration of the gateway, with its reason, and the inequalities between them. A change that breaks one of the
// promises of docs/architecture.md stops the process at start instead of breaking the promise under load.
//
// Where no other source is named, the value was measured with `npm run bench` (broadcast, rtt or cap) on two cores.

/** All in milliseconds. The names that differ only in Min and Max belong to one delay that grows. */
export const timing = {
  // ---- leases: of chunks, bind slots and shares of caps -------------------------------------------------------
  /** No PDU is written in this last part of a lease: a process that was frozen must not write beside its successor. */
  leaseReserveMaxMs: 1_000,
  /** Leases are renewed every fifth of their length, and no more often than this. */
  leaseRenewMinMs: 50,
  /** A chunk without a bind group is held this long for a bind that comes back; then other gateways may lease it. */
  strandedMs: 1_000,
  /** Time for the statement that releases one bind slot; without it the lease runs out. */
  slotReleaseMs: 1_000,
  /** Lease of a round of status queries. Two gateways in one round repeat some queries, which is harmless. */
  queryRoundLeaseMs: 30_000,

  // ---- caps -----------------------------------------------------------------------------------------------------
  /** A used token returns after a second and the usual jitter of the network: no second of the carrier sees more. */
  tokenReturnMs: 1_012,
  /** Tokens that come free within this time may be used at once: the resolution of a timer on a busy process. */
  burstMs: 25,
  /** Texts are marked together for the tokens of this time: a mark costs nearly the same for few rows as for many. */
  capBatchMs: 40,
  /** Added to the usual time of a mark when tokens are reserved. */
  capSpareMs: 5,
  /** Tokens are reserved at most this long before they are ready. */
  reserveAheadMaxMs: 300,
  /** A cap that had enough tokens for this long is no bottleneck, so other gateways get its share. */
  capIdleMs: 2_000,
  /** Interval at which shares are read while one moves between gateways. */
  shareMovingMs: 150,
  /** A share counts this long after its lease: by then its last writes are more than a second old. */
  shareGraceMs: 1_250,
  /** A response at most this much later than usual counts as a late arrival of its text, not as a slow carrier. */
  lateArrivalMaxMs: 100,

  // ---- the pace of a carrier that throttles -----------------------------------------------------------------------
  /** Responses are counted in two intervals of this length. */
  paceIntervalMs: 500,
  /** Throttling within this time of a cut answers texts that were written before the cut. */
  throttleStormMs: 500,
  /** Without throttling for this long, the pace grows faster. */
  paceTrustedMs: 4_000,
  /** Without throttling for this long, there is no limit. */
  paceForgottenMs: 30_000,

  // ---- binds and windows ------------------------------------------------------------------------------------------
  /** Interval at which connections and sending routes are read without a notice. */
  followMs: 1_000,
  /** A full window without any response for this long is presumed dead, and other bind groups take its texts. */
  deadWindowMs: 1_000,
  /** Broadcasts leave window slots free for this long after an urgent text. */
  urgentRecentMs: 10_000,
  /** Where window slots come free less often than this, some are always left to urgent texts. */
  sparseSlotMs: 50,
  /** A PDU that was not handed to the socket within this time of its creation is not written any more. */
  staleWriteMs: 300,
  /** With responses faster than this, marks ahead of free window slots gain nothing. */
  aheadMinLatencyMs: 10,
  /** Marks may take this much longer than usual before a window is partly empty. */
  markReserveMs: 4,
  /** Only texts that will have a window slot within this time are marked ahead. */
  promptSlotMs: 400,

  // ---- marks --------------------------------------------------------------------------------------------------------
  /** A mark allows a write this long after it was asked for; a person who opts out later is told a second later. */
  markFreshMs: 700,
  /** A mark slower than this halves the next one, so that its texts are written while it is fresh. */
  slowMarkMs: 350,
  /** Delay before a text is marked again after a mark that failed or came too late. */
  remarkMinMs: 100,
  remarkMaxMs: 2_000,
  /** Delay before a failed statement that takes marks back is retried; it doubles. */
  unmarkRetryMinMs: 50,
  unmarkRetryMaxMs: 1_000,
  /** Texts to be queued again wait this long for others of their chunk: carriers throttle hundreds at a time. */
  requeueBatchMs: 5,
  /** Window slots too few for a full mark wait this long for more. */
  companyWaitMs: 5,

  // ---- waiting texts --------------------------------------------------------------------------------------------------
  /** A marked text waits at most this long for its tokens or its window slot; then it is queued again. */
  waitMaxMs: 700,
  /** Interval at which texts that have waited too long are looked for. */
  waitLookMs: 175,
  /** Tokens that come free within this time are used in one turn of the event loop. */
  strokeMs: 2,

  // ---- retries --------------------------------------------------------------------------------------------------------
  /** Delay before a throttled text is retried. */
  throttledRetryMs: 500,
  /** Delay before a text that its bind did not take is retried. */
  unboundRetryMs: 50,
  /** Delays before a text that an SMSC in trouble rejected is retried; then it has bounced. */
  retryDelaysMs: [5_000, 30_000, 120_000, 600_000],
  /** The same for one part of a text whose other parts the carrier has: the handset waits for it. */
  partRetryMs: 5_000,
  /** The missing parts of a text wait this long for their bind group; then the text is unknown. */
  partialSendMaxMs: 30_000,
  /** A check of consent before further parts holds this long. */
  consentFreshMs: 500,

  // ---- records and polls ------------------------------------------------------------------------------------------------
  /** The first outcome of a batch waits this long for others. */
  recordBatchMs: 4,
  /** The same for failed attempts, which only explanations need. */
  attemptBatchMs: 100,
  /** Interval at which chunks are looked for without a notice. */
  claimPollMs: 250,
  /** Under caps a gateway leases the texts that it can write in this time; the rest is for other gateways. */
  claimAheadMs: 5_000,
  /** Interval at which stored MOs are interpreted without a notice. */
  interpretPollMs: 500,
  /** Interval at which waiting receipts are settled. */
  waitingReceiptsPollMs: 250,
  /** Interval at which unheard texts are queried. */
  statusQueryPollMs: 1_000,
  /** Interval at which a gateway that may not send checks whether it may now. */
  pausedPollMs: 500,
  /** Interval of the heartbeat. */
  heartbeatMs: 1_000,
  /** A STOP that is not in force after this time is handed back, before the carrier's response timer (10 s) ends. */
  optOutMaxMs: 8_000,

  // ---- shutdown -----------------------------------------------------------------------------------------------------------
  /** Texts in flight get this long for their responses. */
  drainMaxMs: 5_000,
  /** Interval at which that is checked. */
  drainPollMs: 10,
  /** Outcomes get this long to be written; the next gateway makes the rest unknown. */
  flushMaxMs: 1_500,
  /** Shares and slots get this long to be released; their leases run out otherwise. */
  leaveMaxMs: 1_250,
} as const

export type Durations = Readonly<Record<string, number | readonly number[]>>

/** What others decide: the promises of docs/architecture.md, SMPP, and other processes. */
const given: Durations = {
  second: 1_000,
  /** B2: from a kill to the next submit_sm. */
  resumeAfterKillMs: 10_000,
  /** B6: an urgent text beside a broadcast, from the request to its submit_sm (99 of 100). */
  urgentLatencyMs: 250,
  /** Default lease (CARILLON_LEASE_MS). */
  defaultLeaseMs: 5_000,
  /** `system/heartbeats.queries.ts` presumes a process dead after this silence. */
  presumedDeadMs: 5_000,
  /** Usual response timer of an SMSC: it sends a deliver_sm again after it. */
  carrierResponseMs: 10_000,
  /** `bin/role.ts` ends a process that needs longer to stop. */
  stopMaxMs: 8_000,
}

type Rule = { sum: string[]; limit: string; isStrict: boolean; why: string }

const below = (sum: string, limit: string, why: string): Rule => ({ sum: sum.split(' + '), limit, isStrict: true, why })
const atMost = (sum: string, limit: string, why: string): Rule => ({ ...below(sum, limit, why), isStrict: false })

const rules: Rule[] = [
  atMost('markFreshMs + staleWriteMs', 'second', 'B3: no text leaves a second after an opt-out is in force'),
  atMost('slowMarkMs + slowMarkMs', 'markFreshMs', 'a mark of twice the limit must still be usable'),
  atMost('waitMaxMs', 'markFreshMs', 'a text that waits longer must be marked again'),
  below('promptSlotMs', 'waitMaxMs', 'a text marked ahead must get its window slot before it is given up'),
  below('reserveAheadMaxMs + burstMs', 'waitMaxMs', 'reserved tokens must be ready before their texts are given up'),
  below('waitLookMs + waitLookMs', 'waitMaxMs', 'a text that has waited too long must be found soon'),
  below('consentFreshMs', 'markFreshMs', 'consent of further parts is at most as old as that of a mark'),
  below('consentFreshMs', 'second', 'B3 holds for further parts'),
  below('leaseReserveMaxMs + strandedMs', 'defaultLeaseMs', 'a stranded chunk is released sooner than its lease ends'),
  below('claimPollMs + strandedMs', 'defaultLeaseMs', 'another gateway finds a released chunk'),
  below('defaultLeaseMs + claimPollMs + shareGraceMs', 'resumeAfterKillMs', 'B2: a dead gateway is replaced in time'),
  below('leaseRenewMinMs', 'leaseReserveMaxMs', 'a lease is renewed before its reserve begins'),
  atMost('staleWriteMs', 'leaseReserveMaxMs', 'what is written before the reserve leaves before the lease ends'),
  below('statusQueryPollMs + carrierResponseMs', 'queryRoundLeaseMs', 'a round survives a query without a response'),
  atMost('slotReleaseMs', 'leaveMaxMs', 'one slow release must not use up the time of all'),

  below('second', 'tokenReturnMs', 'B5: no second that slides holds more than the cap'),
  below('tokenReturnMs', 'shareGraceMs', 'B5: a share is free after the last write under it is a second old'),
  below('tokenReturnMs', 'capIdleMs', 'a cap in use wants tokens at least once in each second'),
  below('shareMovingMs', 'tokenReturnMs', 'a share that a second has freed is taken soon'),
  below('burstMs', 'capBatchMs', 'tokens of one batch must not be ready at once'),
  below('capBatchMs + capSpareMs', 'reserveAheadMaxMs', 'a batch must fit into what is reserved ahead'),
  below('strokeMs', 'burstMs', 'tokens must be used before the next ones are ready'),
  below(
    'lateArrivalMaxMs',
    'reserveAheadMaxMs',
    'a late arrival must not close a cap for longer than tokens are reserved',
  ),

  atMost('paceIntervalMs + paceIntervalMs', 'second', 'the pace is of the last second'),
  atMost('throttleStormMs', 'second', 'one storm of throttled texts is what one second has written'),
  below('throttleStormMs', 'paceTrustedMs', 'a cut must have had its effect before the pace grows faster'),
  below('paceTrustedMs', 'paceForgottenMs', 'the pace grows before the limit is dropped'),
  atMost('throttledRetryMs', 'throttleStormMs', 'a retried text must not count as a second storm'),

  below('followMs', 'defaultLeaseMs', 'changed rows take effect without a notice'),
  below('deadWindowMs + strandedMs', 'defaultLeaseMs', 'failover is faster than a lost lease'),
  below('markFreshMs', 'deadWindowMs', 'a window must not be presumed dead while its marks are fresh'),
  below('urgentLatencyMs', 'urgentRecentMs', 'B6: window slots stay free between urgent texts'),
  below('sparseSlotMs', 'urgentLatencyMs', 'B6: an urgent text finds a window slot'),
  below('aheadMinLatencyMs', 'promptSlotMs', 'marks ahead must be possible'),
  atMost('markReserveMs', 'aheadMinLatencyMs', 'the reserve must not mark more than a window ahead'),
  below('companyWaitMs', 'aheadMinLatencyMs', 'a window must not stand empty for longer than a response takes'),

  below('requeueBatchMs', 'unboundRetryMs', 'the shortest delay includes the wait for others'),
  below('unboundRetryMs', 'throttledRetryMs', 'a bind comes back sooner than a carrier recovers'),
  below('remarkMinMs', 'remarkMaxMs', 'the delay grows'),
  below('remarkMaxMs', 'defaultLeaseMs', 'a text is marked again under the same lease'),
  below('unmarkRetryMinMs', 'unmarkRetryMaxMs', 'the delay grows'),
  below('unmarkRetryMaxMs', 'defaultLeaseMs', 'marks are taken back under the same lease'),
  below('throttledRetryMs', 'retryDelaysMs[0]', 'trouble lasts longer than throttling'),
  below('retryDelaysMs[0]', 'retryDelaysMs[1]', 'retry delays grow'),
  below('retryDelaysMs[1]', 'retryDelaysMs[2]', 'retry delays grow'),
  below('retryDelaysMs[2]', 'retryDelaysMs[3]', 'retry delays grow'),
  below('partRetryMs + partRetryMs + partRetryMs', 'partialSendMaxMs', 'three retries of a part fit into its wait'),
  below('resumeAfterKillMs', 'partialSendMaxMs', 'missing parts outlive a failover'),

  below('recordBatchMs', 'sparseSlotMs', 'an outcome is recorded sooner than the next one is likely'),
  below('attemptBatchMs', 'second', 'attempts are visible in the next second'),
  atMost('claimPollMs', 'urgentLatencyMs', 'B6 without a notice'),
  atMost('claimAheadMs', 'defaultLeaseMs', 'leased texts are written before another gateway could have them'),
  below('interpretPollMs', 'second', 'B3: a STOP without a notice is in force soon'),
  below('waitingReceiptsPollMs', 'second', 'a receipt that waits for its response is settled soon'),
  below('pausedPollMs', 'second', 'resumed sending begins within a second'),
  below('heartbeatMs + heartbeatMs + heartbeatMs', 'presumedDeadMs', 'two heartbeats may fail'),
  below('second + optOutMaxMs', 'carrierResponseMs', 'a STOP is handed back before the carrier repeats it'),
  below('drainPollMs', 'second', 'a stop is noticed'),
  below('drainMaxMs + flushMaxMs + leaveMaxMs', 'stopMaxMs', 'a stopped gateway ends by itself'),
]

/** The reserve and the renewal interval of a lease of this length; short leases, in tests, have short ones. */
export function leaseTiming(leaseMs: number): { reserveMs: number; renewEveryMs: number } {
  const reserveMs = Math.min(timing.leaseReserveMaxMs, leaseMs / 4)
  return { reserveMs, renewEveryMs: Math.max(timing.leaseRenewMinMs, leaseMs / 5) }
}

/** Throws an error that names every broken inequality of these durations, or of a lease of this length. */
export function assertTiming(durations: Durations, leaseMs: number): void {
  const values: Record<string, number> = {}
  for (const [name, value] of Object.entries({ ...given, ...durations })) {
    if (typeof value === 'number') values[name] = value
    else for (const [n, each] of value.entries()) values[`${name}[${n}]`] = each
  }
  const msOf = (name: string) => values[name] ?? Number.NaN
  const show = (name: string) => `${name} (${msOf(name)} ms)`
  const faults = rules
    .filter(({ sum, limit, isStrict }) => {
      const total = sum.reduce((ms, name) => ms + msOf(name), 0)
      // written so that a name without a value breaks its rule
      return !(isStrict ? total < msOf(limit) : total <= msOf(limit))
    })
    .map(({ sum, limit, isStrict, why }) => {
      return `${sum.map(show).join(' + ')} must be ${isStrict ? 'below' : 'at most'} ${show(limit)}: ${why}`
    })
  const { reserveMs, renewEveryMs } = leaseTiming(leaseMs)
  if (!(reserveMs + 2 * renewEveryMs < leaseMs)) {
    faults.push(`CARILLON_LEASE_MS (${leaseMs} ms) is too short to be renewed twice before its reserve begins`)
  }
  if (faults.length > 0) throw new Error(`inconsistent gateway timing: ${faults.join('; ')}`)
}
