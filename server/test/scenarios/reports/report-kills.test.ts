import { afterAll, beforeAll, describe, expect, onTestFailed, onTestFinished, test } from 'vitest'
import type { S3Request } from '../../s3-server.ts'
import { waitFor } from '../../wait-for.ts'
import { limitFiles } from '../faults/full-disk.ts'
import { installPauses, type Pause, pauseAt } from '../pauses.ts'
import { checkReport } from './check-report.ts'
import { type PlaceName, places } from './report-pauses.ts'
import { ReportWorld, rowCount, type StoreKind } from './report-world.ts'

// A report whose worker is killed has the file of one that was not interrupted, whatever step of its run and of its callback the
// worker was at. The short form is part of `npm test`; the long form, with all combinations and the times of production, is part of
// `npm run test:faults`.

const isLong = process.env.CARILLON_TEST_FORM === 'long'

/** How the killed worker's statement or request ends, or whether the database is killed instead. */
type End = 'lost' | 'executed' | 'database'

type KillCase = { title: string; end: End; pause(world: ReportWorld): Promise<Pause> }

/** The cases of one step: in the short form with these ends, in the long form with all. */
function at(title: string, ends: End[], pause: KillCase['pause'], all: End[] = ['lost', 'executed', 'database']) {
  const titleOf = (end: End) =>
    end === 'database' ? `the database is killed ${title}` : `its worker is killed ${title}, and that is ${end}`
  return (isLong ? all : ends).map((end) => ({ title: titleOf(end), end, pause }))
}

const pauseIn = (place: PlaceName) => (world: ReportWorld) => pauseAt(world.installation, places, place)

/** Holds the first request to the bucket that matches; it is served or lost after its worker was killed. */
const pauseRequest = (matches: (request: S3Request) => boolean) => async (world: ReportWorld) => {
  const { s3 } = world
  if (!s3) throw new Error('there is no bucket')
  let isReached = false
  const held = Promise.withResolvers<'serve' | 'drop'>()
  s3.fault = (request) => {
    if (isReached || !matches(request)) return undefined
    isReached = true
    return { hold: held.promise }
  }
  return {
    reached: async () => void (await waitFor(() => isReached, { what: 'the request' })),
    release: async () => held.resolve('serve'),
    finish: async (isLost: boolean) => held.resolve(isLost ? 'drop' : 'serve'),
  }
}

const pausePost = async ({ callbacks }: ReportWorld) => {
  const before = callbacks.arrivals.length
  const hold = callbacks.hold()
  return {
    reached: async () => void (await waitFor(() => callbacks.arrivals.length > before, { what: 'the callback' })),
    release: async () => hold.release(),
    async finish() {
      // otherwise the receiver would respond to a sender whose end it has not noticed
      await waitFor(hold.areClosed, { what: 'the connection of the worker to end' })
      hold.release()
    },
  }
}

const isPart = ({ query }: S3Request) => query.get('partNumber') === '1'
const isDelete = ({ method, query }: S3Request) => method === 'DELETE' && !query.has('uploadId')
const isBegin = ({ method, query }: S3Request) => method === 'POST' && query.has('uploads')
const isComplete = ({ method, query }: S3Request) => method === 'POST' && query.has('uploadId')
const ofRequest: End[] = ['lost', 'executed']

const casesOf: Record<StoreKind, KillCase[]> = {
  bucket: [
    ...at('before its count commits', ['executed'], pauseIn('countCommits')),
    ...at('before it adds a part', [], pauseIn('partAdded')),
    ...at('before a part commits', ['lost'], pauseIn('partCommits')),
    ...at('while it begins an upload', [], pauseRequest(isBegin), ofRequest),
    ...at('while it uploads a part', [], pauseRequest(isPart), ofRequest),
    ...at('while it completes the upload', ['executed'], pauseRequest(isComplete), ofRequest),
    ...at('while it deletes what is left over', [], pauseRequest(isDelete), ofRequest),
    ...at('before it completes the report', [], pauseIn('completed')),
    ...at('before the completion commits', ['lost'], pauseIn('completionCommits')),
    ...at('during the callback', ['lost'], pausePost, ['lost']),
  ],
  directory: [
    ...at('while it counts', [], pauseIn('counted')),
    ...at('before its count commits', [], pauseIn('countCommits')),
    ...at('before it adds a part', [], pauseIn('partAdded')),
    ...at('before a part commits', [], pauseIn('partCommits')),
    ...at('before it completes the report', [], pauseIn('completed')),
    ...at('before it inserts the callback', [], pauseIn('calledBack')),
    ...at('before the completion commits', [], pauseIn('completionCommits')),
    ...at('before the callback is fanned out', [], pauseIn('fanOut')),
    ...at('during the callback', [], pausePost, ['lost', 'database']),
    ...at('before it marks the callback', [], pauseIn('callbackMarked')),
    ...at('before the mark of the callback commits', [], pauseIn('callbackMarkCommits')),
  ],
}

describe.skipIf(process.platform !== 'linux').each(['bucket', 'directory'] as const)(
  'in a %s, a report is complete',
  (store) => {
    let opened: ReportWorld | undefined
    let text = ''

    beforeAll(async () => {
      opened = await ReportWorld.open(store)
      await opened.installation.withClient((client) => installPauses(client, places))
      const report = await opened.order()
      await opened.settle(report)
      const last = report.seen.at(-1)
      if (!last) throw new Error('the report was not read')
      text = await opened.download(last)
      expect(text.split('\n')).toHaveLength(rowCount + 1)
      expect(await checkReport(opened, report, text)).toEqual([])
    })
    afterAll(() => opened?.close())

    test.each(casesOf[store].map((given) => [given.title, given] as const))('if %s', async (_, { end, pause }) => {
      if (!opened) throw new Error('the installation is not open')
      const world = opened
      onTestFailed(() => console.error(world.installation.logTails()))
      const paused = await pause(world)
      onTestFailed(() => paused.release())
      const report = await world.order()
      await paused.reached('worker')
      if (end === 'database') await world.installation.killDatabase(() => paused.release())
      else
        await world.installation.replaceWorkers(async () => {
          await paused.finish(end === 'lost')
          if (!isLong) await world.expireLeases()
        })
      await world.settle(report)
      expect(await checkReport(world, report, text)).toEqual([])
    })

    test.runIf(isLong && store === 'directory')(
      'or failed, with the reason and without a file, if the disk is full',
      async () => {
        if (!opened) throw new Error('the installation is not open')
        const unlimit = limitFiles(opened.installation.pidsOf('worker'), 1)
        const report = await opened.order().finally(() => onTestFinished(unlimit))
        await opened.settle(report)
        expect(report.seen.at(-1)).toMatchObject({
          ...{ run_errors: 'the file is too large for its disk (EFBIG)', s3_url: null, counts_calculated: false },
          import_completed_at: expect.any(String),
        })
        expect(await opened.storedParts(report.id)).toEqual({ stored: [], expected: [], uploads: 0 })
      },
    )
  },
)
