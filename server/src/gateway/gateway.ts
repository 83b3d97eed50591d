import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { requireSecretKey } from '../connections/connections.ts'
import { ensureEnvironmentConnection } from '../connections/environment.ts'
import { poolDb } from '../db/db.ts'
import { idleTransactionTimeout, makePool } from '../db/pool.ts'
import { listenForWork } from '../db/wake.ts'
import { interpretInbound } from '../inbound/inbound.ts'
import { Repeater } from '../lib/repeater.ts'
import { ReceiptBatcher } from '../receipts/receipts.ts'
import { settleWaitingReceipts } from '../receipts/waiting.ts'
import type { Runtime } from '../runtime.ts'
import { upsertHeartbeat } from '../system/heartbeats.queries.ts'
import { isSendingPaused } from '../system/installation.queries.ts'
import { BindGroups } from './binds/bind-groups.ts'
import { Dispatcher } from './dispatch/dispatcher.ts'
import { Meter } from './meter.ts'
import { Deliveries } from './receive/deliveries.ts'
import { StatusQueries } from './receive/status-queries.ts'
import { Attempts } from './submit/attempts.ts'
import { Recorder } from './submit/recorder.ts'
import { Submitter } from './submit/submitter.ts'
import { Trace } from './submit/trace.ts'
import { assertTiming, timing } from './timing.ts'
import { Urgency } from './urgency.ts'

/**
 * Settings of the send path's database sessions, which restrict plans to index look-ups by key: a plan made while a day's
 * partition was empty must still be good when the partition has a million rows.
 */
export const planSettings = {
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_bitmapscan: 'off',
  enable_memoize: 'off',
  plan_cache_mode: 'force_generic_plan',
  jit: 'off',
}

export type Gateway = { stop(): Promise<void> }

/**
 * Starts a gateway, which opens binds, submits due texts and stores receipts and MOs until it is stopped. Rejects if the timing
 * is inconsistent, the database is unavailable, or the secret key is needed but not set.
 */
export async function startGateway(rt: Runtime): Promise<Gateway> {
  const { config, log, clock } = rt
  assertTiming(timing, config.send.leaseMs)
  const instanceId = randomUUID()
  const settings = { ...planSettings, ...idleTransactionTimeout(config.send.leaseMs) }
  const pool = makePool(rt.databaseUrl, log, { max: 8, settings, name: 'carillon gateway' })
  const db = poolDb(pool)
  await requireSecretKey({ db, config })
  if (config.smpp) await ensureEnvironmentConnection({ db, clock, config }, config.smpp)

  const urgency = new Urgency()
  const writers = () => urgency.writers(performance.now())
  const recorder = new Recorder({ db, clock, log }, writers)
  const attempts = new Attempts(db, log)
  const meter = new Meter(rt.metrics, () =>
    [...groups.all].map(({ connection, window, inFlight }) => ({ connection: connection.name, window, inFlight })),
  )
  const receipts = new ReceiptBatcher({ db, clock, log }, writers)
  const repeat = (work: () => Promise<unknown>, pauseMs: number, what: string) =>
    new Repeater(work, pauseMs, (error) => log.warn({ err: error }, `failed to ${what}, retrying`))
  const interpret = async () => {
    const hasMore = await interpretInbound({ ...rt, db }, () => deliveries.respondToOptOuts())
    await deliveries.respondToOptOuts()
    return hasMore
  }
  const inbound = repeat(interpret, timing.interpretPollMs, 'interpret MOs')
  const deliveries = new Deliveries({ db, clock, log }, recorder, receipts, meter, () => inbound.now())
  const { leaseMs, responseDeadlineMs } = config.send
  const groups = new BindGroups(
    { rt: { ...rt, db }, gateway: instanceId, leaseMs, responseDeadlineMs },
    {
      onFree: (group) => {
        submitter.slotsFreed(group)
        dispatcher.pump()
      },
      onChange: () => dispatcher.pump(),
      onShareGrown: () => dispatcher.claimNow(),
      onDeliver: (connection, session, pdu) => deliveries.handle(connection, session, pdu),
      onLate: (request, response) => submitter.handleLateResponse(request, response),
    },
  )
  const dispatcher = new Dispatcher({ db, clock, log, routes: groups.routes, urgency, instanceId, leaseMs })
  const submitter = new Submitter({ db, clock, log }, recorder, new Trace(meter, attempts), dispatcher.pump)

  let isPaused: boolean | undefined
  const stopped = new AbortController()
  listenForWork(rt.databaseUrl, log, stopped.signal, (work) => {
    if (work === 'chunks') dispatcher.claimNow()
    if (work === 'connections' && isPaused === false) groups.reload()
  })
  const statusQueries = new StatusQueries({ db, clock, log }, groups, receipts)
  const querying = repeat(() => statusQueries.start(), timing.statusQueryPollMs, 'query texts')
  const settling = repeat(
    () => settleWaitingReceipts({ db, clock }),
    timing.waitingReceiptsPollMs,
    'settle waiting receipts',
  )
  const sendHeartbeat = (serving: boolean) =>
    upsertHeartbeat(db, 'gateway', instanceId, {
      details: { bound: groups.bound, connections: groups.enabled, serving },
      metrics: rt.metrics.snapshotIfDue(),
    })
  const heartbeat = repeat(() => sendHeartbeat(isPaused === false), timing.heartbeatMs, 'send a heartbeat')
  // a restored copy does not even bind, because it would receive receipts and MOs meant for the original
  const resuming = repeat(
    async () => {
      if (isPaused === false) return
      const wasPaused = isPaused
      isPaused = await isSendingPaused(db)
      if (isPaused && !wasPaused) log.warn('sending is paused (npm run carillon -- sending resume), not binding')
      if (!isPaused) groups.start()
    },
    timing.pausedPollMs,
    'check whether sending is paused',
  )
  const repeaters = [resuming, inbound, settling, querying, heartbeat]
  dispatcher.start(submitter)
  for (const repeater of repeaters) repeater.start()

  return {
    async stop() {
      stopped.abort()
      const queriesStopped = statusQueries.stop()
      await dispatcher.stop(Math.min(config.send.responseDeadlineMs, timing.drainMaxMs))
      await Promise.all([queriesStopped, ...repeaters.map((repeater) => repeater.stop())])
      // texts whose outcomes cannot be recorded, because the database is unavailable, become unknown under the next lease
      await Promise.race([
        Promise.all([recorder.flushed(), receipts.flushed(), attempts.flushed(), deliveries.flushed()]),
        delay(timing.flushMaxMs, undefined, { ref: false }),
      ])
      const releaseLeases = async () => {
        // so that other gateways do not wait for missing heartbeats before they claim our share of the bind slots
        await sendHeartbeat(false)
        await groups.stop()
      }
      await Promise.race([
        releaseLeases().catch((error) => log.warn({ err: error }, 'failed to release leases on shutdown')),
        delay(timing.releaseMaxMs, undefined, { ref: false }),
      ])
      await pool.end()
    },
  }
}
