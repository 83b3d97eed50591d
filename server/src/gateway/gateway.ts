import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { listConnections } from '../connections/connections.queries.ts'
import { ensureEnvironmentConnection } from '../connections/environment.ts'
import { poolDb } from '../db/db.ts'
import { makePool } from '../db/pool.ts'
import { listenForWork } from '../db/wake.ts'
import { interpretInbound } from '../inbound/inbound.ts'
import { Repeater } from '../lib/repeater.ts'
import { ReceiptBook, settleWaitingReceipts } from '../receipts/receipts.ts'
import type { Runtime } from '../runtime.ts'
import { beat } from '../system/heartbeats.queries.ts'
import { isSendingPaused } from '../system/installation.queries.ts'
import { Binds } from './binds.ts'
import { Deliveries } from './deliver.ts'
import { Dispatcher } from './dispatcher.ts'
import { Recorder } from './recorder.ts'
import { Submitter } from './submit.ts'

/**
 * Sessions of the send path plan nothing but index look-ups by key: a plan made while a day's partition was empty
 * must still be right when it holds a million rows.
 */
export const onePlan = {
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_bitmapscan: 'off',
  enable_memoize: 'off',
  plan_cache_mode: 'force_generic_plan',
  jit: 'off',
}

export type Gateway = { stop(): Promise<void> }

/** Binds to the carrier, submits what is due, and takes receipts and MOs, until it is stopped. */
export async function startGateway(rt: Runtime): Promise<Gateway> {
  const { config, log, clock } = rt
  if (!config.smpp) throw new Error('a gateway needs CARILLON_SMPP_URL')
  const instanceId = randomUUID()
  // frozen in the middle of a transaction, it must not hold the locks that its successor needs for longer than its lease
  const settings = { ...onePlan, idle_in_transaction_session_timeout: String(config.send.leaseMs) }
  const pool = makePool(rt.databaseUrl, log, { max: 8, settings, name: 'carillon gateway' })
  const db = poolDb(pool)
  const connectionId = await ensureEnvironmentConnection({ db, config }, config.smpp)
  const connection = (await listConnections(db)).find((row) => row.id === connectionId)
  if (!connection) throw new Error('the connection of the environment was removed just now')

  const recorder = new Recorder({ db, clock, log })
  const receipts = new ReceiptBook({ db, clock, log })
  const repeat = (work: () => Promise<unknown>, pauseMs: number, what: string) =>
    new Repeater(work, pauseMs, (error) => log.warn({ err: error }, `could not ${what}, trying again`))
  const inbound = repeat(() => interpretInbound({ ...rt, db }), 500, 'interpret MOs')
  const deliveries = new Deliveries({ db, clock, log }, recorder, receipts, () => inbound.now())
  const binds = new Binds(config.smpp, config.send.responseDeadlineMs, log, {
    onFree: () => dispatcher.pump(),
    onDeliver: (session, pdu) => deliveries.take(connection, session, pdu),
    onLate: (request, response) => submitter.late(request, response),
  })
  const dispatcher = new Dispatcher({ db, clock, log, binds, instanceId, leaseMs: config.send.leaseMs })
  const submitter = new Submitter(db, connection, binds, recorder, log, dispatcher.pump)

  const stopped = new AbortController()
  listenForWork(rt.databaseUrl, log, stopped.signal, (work) => {
    if (work === 'chunks') dispatcher.lookForWork()
  })
  const waiting = repeat(() => settleWaitingReceipts({ db, clock }), 250, 'settle waiting receipts')
  const heartbeat = repeat(
    () => beat(db, 'gateway', instanceId, { details: { bound: binds.bound }, metrics: rt.metrics.snapshot() }),
    1_000,
    'tell that we live',
  )
  let isPaused: boolean | undefined
  // a restored copy must not take receipts and MOs away from the original either, so it does not even bind
  const opening = repeat(
    async () => {
      if (isPaused === false) return
      const was = isPaused
      isPaused = await isSendingPaused(db)
      if (isPaused && !was) log.warn('sending is paused (npm run carillon -- sending resume): not binding')
      if (!isPaused) binds.start()
    },
    500,
    'find out whether sending is paused',
  )
  dispatcher.start(submitter)
  for (const repeater of [opening, inbound, waiting, heartbeat]) repeater.start()

  return {
    async stop() {
      stopped.abort()
      await dispatcher.stop(Math.min(config.send.responseDeadlineMs, 5_000))
      await Promise.all([opening.stop(), inbound.stop(), waiting.stop(), heartbeat.stop()])
      // what cannot be recorded because the database is away is settled by the next gateway as unknown
      await Promise.race([
        Promise.all([recorder.flushed(), receipts.flushed()]),
        delay(2_000, undefined, { ref: false }),
      ])
      await Promise.race([binds.stop(), delay(2_000, undefined, { ref: false })])
      await pool.end()
    },
  }
}
