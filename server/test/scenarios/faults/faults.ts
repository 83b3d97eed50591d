import { setTimeout as delay } from 'node:timers/promises'
import { signal } from '../../../src/supervisor/processes.ts'
import { waitFor } from '../../wait-for.ts'
import { freezeOne, type Partner, startPartner, stopPartner } from '../random-faults.ts'
import { limitFiles, padSubmits } from './full-disk.ts'
import type { Fault, Scene } from './scene.ts'

// Faults of a carrier, the network, the database and the machine.

const seconds = (scene: Scene, short: number, long: number) => delay((scene.form === 'short' ? short : long) * 1_000)

function atLeast(what: string, found: number, least: number): void {
  if (found < least) throw new Error(`${what}: ${found}, and ${least} were expected`)
}

/** Waits until a text was unknown. */
const untilUnknown = (scene: Scene) =>
  waitFor(() => scene.sampler.mostUnknown > 0, { timeoutMs: 20_000, what: 'a text that is unknown' })

const bindLost = (scene: Scene) => atLeast('binds lost', scene.said('gateway', 'bind lost'), 1)

const logSegmentMebibytes = 16
let partner: Partner | undefined

export const faults: Fault[] = [
  {
    name: 'answers are lost',
    carrier: { lose_answers: 3 },
    async happened(scene) {
      atLeast('answers lost', (await scene.carrier()).answersLost, 5)
      atLeast('rows unknown meanwhile', scene.sampler.mostUnknown, 1)
    },
  },
  {
    name: 'answers come after the deadline',
    carrier: { hold_receipts: true },
    async inject(scene) {
      const deadlineMs = scene.installation.options.responseDeadlineMs ?? 5_000
      await scene.set({ latency_ms: deadlineMs + 500 })
      await untilUnknown(scene)
      await scene.set({ latency_ms: scene.installation.options.latencyMs })
      await scene.untilTexted()
      const unknown = `select from message_totals where message_id = ${scene.messageId} and unknown > 0`
      await waitFor(async () => (await scene.query(unknown)).length === 0, {
        timeoutMs: 10_000,
        what: 'the late answers, without a receipt, to settle what was unknown',
      })
    },
    happened: (scene) => atLeast('rows unknown meanwhile', scene.sampler.mostUnknown, 1),
  },
  { name: 'answers are out of order', carrier: { latency_jitter_ms: 300 } },
  {
    name: 'a bind is dropped in the middle of its window',
    carrier: { drop_after: { submits: 150, times: 8 } },
    doubts: 1,
    happened: bindLost,
  },
  {
    name: 'the connections are half open',
    ahead: 250,
    doubts: 1,
    async inject({ installation, said }) {
      if (!installation.wire) throw new Error('this installation has no wire')
      const notice = installation.wire.swallow()
      await waitFor(() => said('gateway', 'bind lost') >= installation.options.binds, {
        timeoutMs: 40_000,
        what: 'the gateway to notice that nobody is there',
      })
      notice()
    },
    happened: bindLost,
  },
  {
    name: 'the carrier is silent',
    ahead: 250,
    async inject(scene) {
      await scene.set({ answer: false })
      await seconds(scene, 4, 20) // longer than it takes to find out that nobody is there
      await scene.set({ answer: true })
    },
    happened: (scene) => atLeast('rows unknown meanwhile', scene.sampler.mostUnknown, 1),
  },
  { name: 'receipts come before the answers', carrier: { receipts_first: true } },
  {
    name: 'receipts come twice',
    carrier: { receipt_count: 2 },
    async happened(scene) {
      const { accepted, receiptsAnswered } = await scene.carrier()
      atLeast('receipts', receiptsAnswered, 1.9 * accepted)
    },
  },
  { name: 'ids are decimal, and hex in receipts', carrier: { id_form: 'decimal', receipt_id_form: 'hex_mixed' } },
  {
    name: 'receipts come after a restart',
    carrier: { hold_receipts: true },
    async inject(scene) {
      await scene.untilTexted()
      atLeast('receipts before', 1, 1 + (await scene.carrier()).receiptsAnswered)
      scene.installation.kill('gateway')
      scene.installation.signalDatabase('SIGKILL')
      await waitFor(() => scene.said('gateway', '"bound"') > 0, {
        timeoutMs: 10_000,
        what: 'the gateway to bind again',
      })
    },
  },
  {
    name: 'the database hangs',
    doubts: 1,
    async inject(scene) {
      scene.installation.signalDatabase('SIGSTOP')
      await seconds(scene, 2.5, 20)
      scene.installation.signalDatabase('SIGCONT')
    },
  },
  {
    name: 'the database is gone for a while',
    doubts: 1,
    async inject(scene) {
      const supervisor = scene.installation.pid('supervisor')
      signal(supervisor, 'SIGSTOP') // or it would be back at once
      scene.installation.signalDatabase('SIGKILL')
      await seconds(scene, 2, 20)
      signal(supervisor, 'SIGCONT')
    },
    happened: (scene) => atLeast('words on it', scene.said('gateway', 'failed to'), 1),
  },
  {
    name: "the database's files may not grow",
    latencyMs: 250,
    prepare: (installation) => padSubmits(installation, logSegmentMebibytes),
    async inject(scene) {
      const lift = limitFiles(scene.installation.databasePids(), logSegmentMebibytes) // the log may still be written
      await seconds(scene, 2, 20)
      lift()
    },
    happened: (scene) => atLeast('words on it', scene.said('postmaster', 'File too large'), 1),
  },
  {
    name: "the database's log may not be written",
    doubts: 1,
    async inject(scene) {
      const lift = limitFiles([scene.installation.pid('supervisor'), ...scene.installation.databasePids()], 1)
      await seconds(scene, 2, 20)
      lift()
    },
    happened: (scene) => atLeast('words on it', scene.said('postmaster', 'File too large'), 1),
  },
  {
    name: 'a gateway is frozen past its lease',
    latencyMs: 250,
    doubts: 1,
    async prepare(installation) {
      partner = await startPartner(installation)
    },
    async inject({ installation }) {
      if (!partner) throw new Error('there is no second gateway')
      await freezeOne(installation, partner, () => {})
      await stopPartner(partner)
    },
  },
  // these two come last, because the bind group sends slowly for a while afterwards
  {
    name: 'a storm of throttling',
    async inject(scene) {
      await scene.set({ throttle: { mps: 100 } })
      await seconds(scene, 2, 30)
    },
    happened: async (scene) => atLeast('texts throttled', (await scene.carrier()).throttled, 20),
  },
  {
    name: "the carrier's queue is full at times",
    carrier: { refuse: { status: 'ESME_RMSGQFUL', percent: 5 } },
    happened: async (scene) => atLeast('texts refused', (await scene.carrier()).refused, 10),
  },
]
