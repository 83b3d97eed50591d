import { atMost, below, type DurationRule, type Durations, listBrokenRules } from '../lib/duration-rules.ts'
import { MAX_REJECTED_RETRY_MS } from '../smpp/connector.ts'

// All durations of the gateway with their reasons, and the inequalities between them. A change that would break a promise of
// docs/architecture.md stops the process at start, instead of breaking the promise under load.
//
// If no other source is named, the value was measured with `npm run bench` (broadcast, rtt or cap) on two cores.

/** All values are in milliseconds. Two names that differ only in Min and Max belong to one delay that grows. */
export const timing = {
  // ---- leases: of chunks, bind slots and shares of caps -------------------------------------------------------
  /** No PDU is written in this last part of a lease, so that a process that was frozen does not write after its successor. */
  leaseReserveMaxMs: 1_000,
  /** Leases are renewed every fifth of their length, and no more often than this. */
  leaseRenewMinMs: 50,
  /** A chunk without a usable bind group is released after this time, so that other gateways can lease it. */
  strandedMs: 1_000,
  /** Time limit of the statement that releases one bind slot; after it, the lease of the slot runs out. */
  slotReleaseMs: 1_000,
  /** Lease of a round of status queries. Two gateways in one round would repeat some queries, which is harmless. */
  queryRoundLeaseMs: 30_000,

  // ---- caps -----------------------------------------------------------------------------------------------------
  /** A used token returns after a second and the usual network jitter, so that the carrier never receives more in a second. */
  tokenReturnMs: 1_012,
  /** Tokens that become free within this time may be used together: the resolution of a timer in a busy process. */
  burstMs: 25,
  /** Texts are marked together for the tokens of this time, because a mark costs nearly the same for few rows as for many. */
  capBatchMs: 40,
  /** Margin added to the usual duration of a mark when tokens are reserved. */
  capSpareMs: 5,
  /** Tokens are reserved at most this long before they are ready. */
  reserveAheadMaxMs: 300,
  /** A gateway that had enough tokens of a cap for this long does not need more; other gateways get most of its share. */
  capIdleMs: 2_000,
  /** Interval at which shares are synchronized while one moves between gateways. */
  shareMovingMs: 150,
  /** A share counts this long after the end of its lease, so that its last writes are more than a second old. */
  shareGraceMs: 1_250,
  /** A response later than usual counts as a late arrival of its text by at most this time; a longer delay is a slow carrier. */
  lateArrivalMaxMs: 100,

  // ---- the pace of a carrier that throttles -----------------------------------------------------------------------
  /** Responses are counted in two intervals of this length. */
  paceIntervalMs: 500,
  /** Throttling within this time of a cut does not cut the pace again: it concerns texts written before the cut. */
  paceCutIntervalMs: 500,
  /** Without throttling for this long, the pace grows faster. */
  paceTrustedMs: 4_000,
  /** Without throttling for this long, the limit ends. */
  paceResetMs: 30_000,

  // ---- binds and windows ------------------------------------------------------------------------------------------
  /** Interval at which connections and sending routes are read if no notice arrives. */
  followMs: 1_000,
  /** A full window without a response for this long is presumed dead, and other bind groups send its texts. */
  deadWindowMs: 1_000,
  /** For this long after an urgent text, window slots are reserved for others, and broadcasts are marked one batch at a time. */
  urgentRecentMs: 10_000,
  /** If window slots become free less often than this, some are always reserved for urgent texts. */
  sparseSlotMs: 50,
  /** A rejected bind whose next attempt is this far away is an alarm: a person must act. */
  bindAlarmMs: 30_000,
  /** A PDU that was not written to the socket within this time of its creation is discarded. */
  staleWriteMs: 300,
  /** If responses are faster than this, marking ahead of free window slots gains nothing. */
  aheadMinLatencyMs: 10,
  /** A mark may take this much longer than usual before window slots stay empty. */
  markReserveMs: 4,
  /** Texts are marked ahead only if they will have a window slot within this time. */
  promptSlotMs: 400,

  // ---- marks --------------------------------------------------------------------------------------------------------
  /** A mark allows writes for this long after its statement started; an opt-out is reported as in force a second after it. */
  markFreshMs: 700,
  /** A mark slower than this halves the size of the next one, so that its texts are written while it is fresh. */
  slowMarkMs: 350,
  /** Delay before a text is marked again after a mark that failed or took too long. */
  remarkMinMs: 100,
  remarkMaxMs: 2_000,
  /** Delay before a failed unmark statement is retried; it doubles with each failure. */
  unmarkRetryMinMs: 50,
  unmarkRetryMaxMs: 1_000,
  /** Texts to be requeued wait this long for others of their chunk, because carriers throttle hundreds at a time. */
  requeueBatchMs: 5,
  /** If too few window slots are free for a full mark, the mark waits this long for more. */
  slotBatchMs: 5,

  // ---- waiting texts --------------------------------------------------------------------------------------------------
  /** A marked text waits at most this long for its tokens or its window slot; then it is requeued. */
  waitMaxMs: 700,
  /** Interval at which texts that have waited too long are searched for. */
  waitCheckMs: 175,
  /** Tokens that become free within this time are used in one iteration of the event loop. */
  tokenBatchMs: 2,

  // ---- retries --------------------------------------------------------------------------------------------------------
  /** Delay before a throttled text is retried. */
  throttledRetryMs: 500,
  /** Delay before a text that was not written, for example because its bind was lost, is retried. */
  unboundRetryMs: 50,
  /** Delays before the retries of a text that was rejected with a temporary error; after the last one it bounces. */
  retryDelaysMs: [5_000, 30_000, 120_000, 600_000],
  /** The same for one part of a text whose other parts were accepted; short, because the phone waits for it. */
  partRetryMs: 5_000,
  /** The remaining parts of a text wait this long for their bind group; then the text becomes unknown. */
  partialSendMaxMs: 30_000,
  /** A consent check allows further parts of a text for this long. */
  consentFreshMs: 500,

  // ---- records and polls ------------------------------------------------------------------------------------------------
  /** The first outcome of a batch waits this long for others. */
  recordBatchMs: 4,
  /** The same for failed attempts; longer, because only explanations of texts use them. */
  attemptBatchMs: 100,
  /** Interval at which chunks are claimed if no notice arrives. */
  claimPollMs: 250,
  /** Under caps, a gateway leases no more texts than it can write in this time; other gateways can lease the rest. */
  claimAheadMs: 5_000,
  /** Interval at which stored MOs are interpreted if no notice arrives. */
  interpretPollMs: 500,
  /** Interval at which waiting receipts are settled. */
  waitingReceiptsPollMs: 250,
  /** Interval at which texts without a receipt are queried. */
  statusQueryPollMs: 1_000,
  /** Interval at which a gateway that is paused checks whether sending was resumed. */
  pausedPollMs: 500,
  /** Interval of the heartbeat. */
  heartbeatMs: 1_000,
  /** A STOP that is not in force after this time is rejected, before the carrier's response timer (10 s) ends. */
  optOutMaxMs: 8_000,
  /** The response to an MO counts as received if its session is still bound after this time. */
  acknowledgedMs: 1_000,
  /** An alarm is logged at most this often, because a carrier without credit reports every text of a broadcast. */
  alarmIntervalMs: 60_000,
  /** A delivery ends the alarm of a rejected account if no rejection was seen for this long: some texts may still be delivered. */
  accountRejectedMs: 300_000,

  // ---- shutdown -----------------------------------------------------------------------------------------------------------
  /** Time limit for the responses to texts in flight. */
  drainMaxMs: 5_000,
  /** Interval at which a stopping gateway checks for texts in flight. */
  drainPollMs: 10,
  /** Time limit for recording outcomes; the next gateway marks the other texts unknown. */
  flushMaxMs: 1_500,
  /** Time limit for releasing shares and bind slots; after it, their leases run out. */
  releaseMaxMs: 1_250,
} as const

/** Durations that are decided elsewhere: by the promises of docs/architecture.md, by SMPP, and by other processes. */
const externalDurations: Durations = {
  second: 1_000,
  /** B2: from a kill to the next submit_sm. */
  resumeAfterKillMs: 10_000,
  /** B6: from the request to the submit_sm of an urgent text during a broadcast (99th percentile). */
  urgentLatencyMs: 250,
  /** Default lease (CARILLON_LEASE_MS). */
  defaultLeaseMs: 5_000,
  /** `system/heartbeats.queries.ts` presumes a process dead after this silence. */
  presumedDeadMs: 5_000,
  /** Longest delay between attempts to open a bind that the SMSC rejects. */
  rejectedRetryMaxMs: MAX_REJECTED_RETRY_MS,
  /** Usual response timer of an SMSC, after which it sends a deliver_sm again. */
  carrierResponseMs: 10_000,
  /** `bin/role.ts` kills a process that takes longer to stop. */
  stopMaxMs: 8_000,
}

const rules: DurationRule[] = [
  atMost('markFreshMs + staleWriteMs', 'second', 'B3: no text is written a second after an opt-out is in force'),
  atMost('slowMarkMs + slowMarkMs', 'markFreshMs', 'a mark of twice the limit must still be usable'),
  atMost('waitMaxMs', 'markFreshMs', 'a text that waits longer must be marked again'),
  below('promptSlotMs', 'waitMaxMs', 'a text marked ahead must get its window slot before it is requeued'),
  below('reserveAheadMaxMs + burstMs', 'waitMaxMs', 'reserved tokens must be ready before their texts are requeued'),
  below('waitCheckMs + waitCheckMs', 'waitMaxMs', 'a text that has waited too long must be found soon'),
  below('consentFreshMs', 'markFreshMs', 'the consent check of further parts is no older than that of a mark'),
  below('consentFreshMs', 'second', 'B3 is true of remaining parts, too'),
  below('leaseReserveMaxMs + strandedMs', 'defaultLeaseMs', 'a stranded chunk is released sooner than its lease ends'),
  below('claimPollMs + strandedMs', 'defaultLeaseMs', 'another gateway finds a released chunk'),
  below('defaultLeaseMs + claimPollMs + shareGraceMs', 'resumeAfterKillMs', 'B2: a dead gateway is replaced in time'),
  below('leaseRenewMinMs', 'leaseReserveMaxMs', 'a lease is renewed before its reserve begins'),
  atMost('staleWriteMs', 'leaseReserveMaxMs', 'a PDU created before the reserve is written before the lease ends'),
  below('statusQueryPollMs + carrierResponseMs', 'queryRoundLeaseMs', 'a round survives a query without a response'),
  atMost('slotReleaseMs', 'releaseMaxMs', 'one slow release must not use up the time limit of all'),

  below('second', 'tokenReturnMs', 'B5: no sliding second contains more submit_sm than the cap'),
  below('tokenReturnMs', 'shareGraceMs', 'B5: a share is free only when its last write is more than a second old'),
  below('tokenReturnMs', 'capIdleMs', 'a gateway that needs tokens reports a shortage at least once per second'),
  below('shareMovingMs', 'tokenReturnMs', 'a share that was reduced after a second is leased soon'),
  below('burstMs', 'capBatchMs', 'the tokens of one batch must not all be ready at the same time'),
  below('capBatchMs + capSpareMs', 'reserveAheadMaxMs', 'the tokens of a batch can be reserved ahead'),
  below('tokenBatchMs', 'burstMs', 'tokens must be used before the next ones are ready'),
  below(
    'lateArrivalMaxMs',
    'reserveAheadMaxMs',
    'a late arrival must not close a cap for longer than tokens are reserved',
  ),

  atMost('paceIntervalMs + paceIntervalMs', 'second', 'the pace is that of the last second'),
  atMost('paceCutIntervalMs', 'second', 'one cut covers the throttled texts of one second'),
  below('paceCutIntervalMs', 'paceTrustedMs', 'a cut must take effect before the pace grows faster'),
  below('paceTrustedMs', 'paceResetMs', 'the pace grows faster before the limit ends'),
  atMost('throttledRetryMs', 'paceCutIntervalMs', 'the retry of a throttled text must not cause a second cut'),

  below('followMs', 'defaultLeaseMs', 'changed rows take effect soon without a notice'),
  below('deadWindowMs + strandedMs', 'defaultLeaseMs', 'failover is faster than a lost lease'),
  below('markFreshMs', 'deadWindowMs', 'a window must not be presumed dead while its marks are fresh'),
  below('urgentLatencyMs', 'urgentRecentMs', 'B6: window slots stay free between urgent texts'),
  below('sparseSlotMs', 'urgentLatencyMs', 'B6: an urgent text finds a window slot'),
  below('aheadMinLatencyMs', 'promptSlotMs', 'marking ahead must be possible'),
  atMost('markReserveMs', 'aheadMinLatencyMs', 'the reserve must not mark more than a window ahead'),
  below('slotBatchMs', 'aheadMinLatencyMs', 'a window must not stay empty for longer than a response takes'),

  below('requeueBatchMs', 'unboundRetryMs', 'the shortest delay includes the wait for other texts'),
  below('unboundRetryMs', 'throttledRetryMs', 'a lost bind is restored sooner than a throttling carrier recovers'),
  below('remarkMinMs', 'remarkMaxMs', 'the delay grows'),
  below('remarkMaxMs', 'defaultLeaseMs', 'a text is marked again under the same lease'),
  below('unmarkRetryMinMs', 'unmarkRetryMaxMs', 'the delay grows'),
  below('unmarkRetryMaxMs', 'defaultLeaseMs', 'texts are unmarked under the same lease'),
  below('throttledRetryMs', 'retryDelaysMs[0]', 'temporary errors last longer than throttling'),
  below('retryDelaysMs[0]', 'retryDelaysMs[1]', 'retry delays grow'),
  below('retryDelaysMs[1]', 'retryDelaysMs[2]', 'retry delays grow'),
  below('retryDelaysMs[2]', 'retryDelaysMs[3]', 'retry delays grow'),
  below('partRetryMs + partRetryMs + partRetryMs', 'partialSendMaxMs', 'three retries of a part fit into its wait'),
  below('resumeAfterKillMs', 'partialSendMaxMs', 'remaining parts survive a failover'),

  below('recordBatchMs', 'sparseSlotMs', 'an outcome is recorded before the next one is likely'),
  below('attemptBatchMs', 'second', 'attempts are visible in the next second'),
  atMost('claimPollMs', 'urgentLatencyMs', 'B6 without a notice'),
  atMost('claimAheadMs', 'defaultLeaseMs', 'leased texts are written before another gateway could lease them'),
  below('interpretPollMs', 'second', 'B3: a STOP without a notice is in force soon'),
  below('waitingReceiptsPollMs', 'second', 'a receipt that waits for its response is settled soon'),
  below('pausedPollMs', 'second', 'sending starts within a second of a resume'),
  below('heartbeatMs + heartbeatMs + heartbeatMs', 'presumedDeadMs', 'two heartbeats may fail'),
  below('second + optOutMaxMs', 'carrierResponseMs', 'a STOP is rejected before the carrier repeats it'),
  below('resumeAfterKillMs', 'bindAlarmMs', 'binds that a killed gateway seems to hold are no alarm'),
  below('bindAlarmMs', 'rejectedRetryMaxMs', 'the delay of a bind that stays rejected reaches the alarm'),
  atMost('staleWriteMs', 'acknowledgedMs', 'a response was written or discarded before it counts as received'),
  below('acknowledgedMs', 'carrierResponseMs', 'a response counts as received before the carrier could repeat its MO'),
  atMost('retryDelaysMs[1]', 'alarmIntervalMs', 'quick retries of one text log one alarm'),
  below('alarmIntervalMs', 'retryDelaysMs[3]', 'an alarm is logged again while its texts are still retried'),
  below(
    'alarmIntervalMs + alarmIntervalMs',
    'accountRejectedMs',
    'an alarm lasts while rejections are seen every minute',
  ),
  below('drainPollMs', 'second', 'the end of the drain is noticed soon'),
  below('drainMaxMs + flushMaxMs + releaseMaxMs', 'stopMaxMs', 'a stopping gateway exits before it is killed'),
]

/** Returns the reserve and the renewal interval of a lease of this length, in ms; the short leases of tests have short ones. */
export function leaseTiming(leaseMs: number): { reserveMs: number; renewEveryMs: number } {
  const reserveMs = Math.min(timing.leaseReserveMaxMs, leaseMs / 4)
  return { reserveMs, renewEveryMs: Math.max(timing.leaseRenewMinMs, leaseMs / 5) }
}

/** Throws an error that names every inequality which these durations, or a lease of this length, break. */
export function assertTiming(durations: Durations, leaseMs: number): void {
  const faults = listBrokenRules({ ...externalDurations, ...durations }, rules)
  const { reserveMs, renewEveryMs } = leaseTiming(leaseMs)
  if (!(reserveMs + 2 * renewEveryMs < leaseMs)) {
    faults.push(`CARILLON_LEASE_MS (${leaseMs} ms) is too short to be renewed twice before its reserve begins`)
  }
  if (faults.length > 0) throw new Error(`inconsistent gateway timing: ${faults.join('; ')}`)
}
