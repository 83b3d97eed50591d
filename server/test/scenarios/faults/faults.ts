import { setTimeout as delay } from 'node:timers/promises'
import { signal } from '../../../src/supervisor/processes.ts'
import { waitFor } from '../../wait-for.ts'
import { freezeBusyGateway, type SecondGateway, startSecondGateway, stopSecondGateway } from '../second-gateway.ts'
import type { Fault, FaultRun } from './fault-run.ts'
import { fillSubmitsTable, limitFiles } from './full-disk.ts'

// Faults of the carrier, the network, the database and the machine. A name completes "keeps its promises while ...".

const seconds = (run: FaultRun, short: number, long: number) => delay((run.form === 'short' ? short : long) * 1_000)

function assertAtLeast(what: string, count: number, min: number): void {
  if (count < min) throw new Error(`${what}: ${count}, expected at least ${min}`)
}

function assertNone(what: string, count: number): void {
  if (count > 0) throw new Error(`${what}: ${count}, expected none`)
}

/** Waits until a text has been unknown. */
const waitUntilUnknown = (run: FaultRun) =>
  waitFor(() => run.sampler.mostUnknown > 0, { timeoutMs: 20_000, what: 'a text to become unknown' })

const checkBindLost = (run: FaultRun) => assertAtLeast('binds lost', run.countLogLines('gateway', 'bind lost'), 1)

const walSegmentMebibytes = 16
let second: SecondGateway | undefined

export const faults: Fault[] = [
  {
    name: 'responses are lost',
    settings: { lose_responses: 3 },
    async checkEffect(run) {
      assertAtLeast('responses lost', (await run.counts()).responsesLost, 5)
      assertAtLeast('unknown rows during the fault', run.sampler.mostUnknown, 1)
    },
  },
  {
    name: 'responses arrive after the deadline',
    settings: { pause_receipts: true },
    async inject(run) {
      const deadlineMs = run.installation.options.responseDeadlineMs ?? 5_000
      await run.set({ latency_ms: deadlineMs + 500 })
      await waitUntilUnknown(run)
      await run.set({ latency_ms: run.installation.options.latencyMs })
      await run.waitUntilSubmitted()
      const unknown = `select from message_totals where message_id = ${run.messageId} and unknown > 0`
      await waitFor(async () => (await run.query(unknown)).length === 0, {
        timeoutMs: 10_000,
        what: 'the late responses to settle unknown texts without a receipt',
      })
    },
    checkEffect: (run) => assertAtLeast('unknown rows during the fault', run.sampler.mostUnknown, 1),
  },
  { name: 'responses arrive out of order', settings: { latency_jitter_ms: 300 } },
  {
    name: 'a bind is dropped in the middle of its window',
    settings: { drop_after: { submits: 150, times: 8 } },
    unconfirmedTimes: 1,
    checkEffect: checkBindLost,
  },
  {
    name: 'the sockets are half open',
    optOutDistance: 250,
    unconfirmedTimes: 1,
    async inject({ installation, countLogLines }) {
      if (!installation.proxy) throw new Error('this installation has no proxy')
      const closeSockets = installation.proxy.discardTraffic()
      await waitFor(() => countLogLines('gateway', 'bind lost') >= installation.options.binds, {
        timeoutMs: 40_000,
        what: 'the gateway to detect the dead sockets',
      })
      closeSockets()
    },
    checkEffect: checkBindLost,
  },
  {
    name: 'the SMSC does not respond',
    optOutDistance: 250,
    async inject(run) {
      await run.set({ responding: false })
      await seconds(run, 4, 20) // longer than the gateway needs to detect a dead bind
      await run.set({ responding: true })
    },
    checkEffect: (run) => assertAtLeast('unknown rows during the fault', run.sampler.mostUnknown, 1),
  },
  { name: 'receipts arrive before the responses', settings: { receipts_first: true } },
  {
    name: 'receipts arrive twice',
    settings: { receipt_count: 2 },
    async checkEffect(run) {
      const { accepted, receiptsAcknowledged } = await run.counts()
      assertAtLeast('receipts', receiptsAcknowledged, 1.9 * accepted)
    },
  },
  {
    name: 'message ids are decimal, and hexadecimal in receipts',
    settings: { id_form: 'decimal', receipt_id_form: 'hex_mixed' },
  },
  {
    name: 'receipts arrive after a restart',
    settings: { pause_receipts: true },
    async inject(run) {
      await run.waitUntilSubmitted()
      assertNone('receipts before the restart', (await run.counts()).receiptsAcknowledged)
      run.installation.kill('gateway')
      run.installation.signalDatabase('SIGKILL')
      await waitFor(() => run.countLogLines('gateway', '"bound"') > 0, {
        timeoutMs: 10_000,
        what: 'the gateway to bind again',
      })
    },
  },
  {
    name: 'the database hangs',
    unconfirmedTimes: 1,
    async inject(run) {
      run.installation.signalDatabase('SIGSTOP')
      await seconds(run, 2.5, 20)
      run.installation.signalDatabase('SIGCONT')
    },
  },
  {
    name: 'the database is down for a while',
    unconfirmedTimes: 1,
    async inject(run) {
      const supervisor = run.installation.pid('supervisor')
      signal(supervisor, 'SIGSTOP') // otherwise it restarts the database immediately
      run.installation.signalDatabase('SIGKILL')
      await seconds(run, 2, 20)
      signal(supervisor, 'SIGCONT')
    },
    checkEffect: (run) => assertAtLeast('failures logged', run.countLogLines('gateway', 'failed to'), 1),
  },
  {
    name: "the database's files cannot grow",
    latencyMs: 250,
    prepare: (installation) => fillSubmitsTable(installation, walSegmentMebibytes),
    async inject(run) {
      const removeLimit = limitFiles(run.installation.databasePids(), walSegmentMebibytes) // WAL segments still fit
      await seconds(run, 2, 20)
      removeLimit()
    },
    checkEffect: (run) => assertAtLeast('failures logged', run.countLogLines('gateway', 'failed to'), 1),
  },
  {
    name: 'the write-ahead log cannot be written',
    unconfirmedTimes: 1,
    async inject(run) {
      const removeLimit = limitFiles([run.installation.pid('supervisor'), ...run.installation.databasePids()], 1)
      await seconds(run, 2, 20)
      removeLimit()
    },
    // not the error itself: a log that is longer than the limit cannot be written either, and its last lines may be lost
    checkEffect(run) {
      const recoveries = run.countLogLines('postmaster', 'not properly shut down')
      const restarts = run.countLogLines('supervisor', 'PostgreSQL ended')
      assertAtLeast('recoveries and restarts', recoveries + restarts, 1)
    },
  },
  {
    name: 'a gateway is frozen for longer than its lease',
    latencyMs: 250,
    unconfirmedTimes: 1,
    async prepare(installation) {
      second = await startSecondGateway(installation)
    },
    async inject({ installation }) {
      if (!second) throw new Error('no second gateway was started')
      await freezeBusyGateway(installation, second, () => {})
      await stopSecondGateway(second)
    },
  },
  // these two are last, because the bind group sends slowly for a while after them
  {
    name: 'the carrier throttles',
    async inject(run) {
      await run.set({ throttle: { mps: 100 } })
      await seconds(run, 2, 30)
    },
    checkEffect: async (run) => assertAtLeast('texts throttled', (await run.counts()).throttled, 20),
  },
  {
    name: "the carrier's queue is full for some texts",
    settings: { reject: { status: 'ESME_RMSGQFUL', percent: 5 } },
    checkEffect: async (run) => assertAtLeast('texts rejected', (await run.counts()).rejected, 10),
  },
]
