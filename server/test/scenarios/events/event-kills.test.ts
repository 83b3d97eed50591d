import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { waitFor } from '../../wait-for.ts'
import { installPauses, type Pause, pauseAt } from '../pauses.ts'
import { checkEvents } from './check-events.ts'
import { type PlaceName, pauseAfterClaim, places } from './event-pauses.ts'
import { EventWorld } from './event-world.ts'

// Every event arrives at least once and the feed has no gap, also if processes are killed between each two of the commit of a change, its
// number, the fan-out, the claim of an endpoint, the POST and its mark. The short form is part of `npm test`; the long form, with all
// combinations and the leases of production, is part of `npm run test:faults`.

const isLong = process.env.CARILLON_TEST_FORM === 'long'

/** How the killed work ends: its statements are rolled back, or the server executes them all the same, or the server is killed. */
type End = 'rolled back' | 'executed' | 'database'

type KillCase = {
  title: string
  end: End
  role: 'api' | 'gateway' | 'worker'
  /** Makes the work of the role wait. */
  pause(world: EventWorld): Promise<Pause>
  /** Changes that lead to the pause; those of the role itself wait until the kill. */
  change(world: EventWorld, newcomers: number[], member: number): Promise<unknown>
}

const subscribeAll: KillCase['change'] = (world, newcomers) =>
  Promise.all(newcomers.map((phone) => world.subscribe(phone)))

/** The cases of one point between two steps: in the short form with these ends, in the long form with all. */
function at(title: string, ends: End[], point: Omit<KillCase, 'title' | 'end'>): KillCase[] {
  const all: End[] = isLong ? ['rolled back', 'executed', 'database'] : ends
  return all.map((end) => ({
    ...point,
    end,
    title:
      end === 'database'
        ? `the database is killed ${title}`
        : `the ${point.role} is killed ${title}, and its statement is ${end}`,
  }))
}

const pauseIn = (place: PlaceName) => (world: EventWorld) => pauseAt(world.installation, places, place)

/** Claims are made of endpoints that no worker has leased since their last delivery. */
const pauseClaims = (place: PlaceName) => async (world: EventWorld) => {
  await world.waitUntilReleased()
  return pauseAt(world.installation, places, place)
}

const worker = (place: PlaceName) => ({ role: 'worker' as const, pause: pauseIn(place), change: subscribeAll })

const cases = [
  ...at('before an opt-in commits', ['rolled back', 'executed', 'database'], {
    ...{ role: 'api', pause: pauseIn('changeCommits'), change: subscribeAll },
  }),
  ...at('before a STOP commits', ['rolled back'], {
    ...{ role: 'gateway', pause: pauseIn('changeCommits') },
    change: (world, _, member) => world.stopByText(member),
  }),
  ...at('before the message_sent of a broadcast is inserted', ['rolled back'], {
    ...worker('messageReported'),
    change: (world) => world.broadcast(),
  }),
  ...at('before the message_sent of a broadcast commits', [], {
    ...worker('messageReportCommits'),
    change: (world) => world.broadcast(),
  }),
  ...at('before the result of a transactional message is inserted', ['rolled back'], {
    ...worker('resultReported'),
    change: (world, newcomers) => Promise.all(newcomers.map((phone) => world.sendTransactional(phone))),
  }),
  ...at('before events leave the outbox', [], worker('outboxTaken')),
  ...at('between outbox and feed', ['rolled back'], worker('eventNumbered')),
  ...at('between number and fan-out', ['rolled back'], worker('fanOut')),
  ...at('before numbers and deliveries commit', ['executed', 'database'], worker('fanOutCommits')),
  ...at('before an endpoint is claimed', ['rolled back'], { ...worker('claim'), pause: pauseClaims('claim') }),
  ...at('before the claim of an endpoint commits', ['executed'], {
    ...worker('claimCommits'),
    pause: pauseClaims('claimCommits'),
  }),
  ...at('between claim and POST', ['rolled back'], {
    ...worker('claimCommits'),
    async pause(world) {
      const claim = await pauseClaims('claimCommits')(world)
      let pause = claim
      return {
        async reached(role) {
          await claim.reached(role)
          pause = await pauseAfterClaim(world.installation, claim)
          await pause.reached(role)
        },
        release: () => pause.release(),
        finish: (isRolledBack) => pause.finish(isRolledBack),
      }
    },
  }),
  ...at('during a POST', ['rolled back', 'database'], {
    ...worker('mark'),
    async pause(world) {
      const arrived = world.receivers.map(({ arrivals }) => arrivals.length)
      const holds = world.receivers.map((receiver) => receiver.hold())
      const release = async () => holds.forEach((hold) => void hold.release())
      return {
        async reached() {
          const haveArrived = () => world.receivers.every(({ arrivals }, n) => arrivals.length > (arrived[n] ?? 0))
          await waitFor(haveArrived, { what: 'a POST at each receiver' })
        },
        release,
        async finish() {
          // otherwise the receivers would respond to a sender whose end they have not noticed
          await waitFor(() => holds.every((hold) => hold.areClosed()), { what: 'the connections of the worker to end' })
          await release()
        },
      }
    },
  }),
  ...at('between POST and mark', ['rolled back'], worker('mark')),
  ...at('before a mark commits', ['rolled back', 'executed', 'database'], worker('markCommits')),
]

describe.skipIf(process.platform !== 'linux')('every event arrives, and the feed has no gap,', () => {
  let opened: EventWorld | undefined

  beforeAll(async () => {
    opened = await EventWorld.open()
    await opened.withClient((client) => installPauses(client, places))
  })
  afterAll(() => opened?.close())

  const open = () => {
    onTestFailed(() => console.error(opened?.installation.logTails()))
    if (!opened) throw new Error('the installation is not open')
    return opened
  }

  test.each(cases.map((given) => [given.title, given] as const))('if %s', async (_, given) => {
    const { end, role, change } = given
    const world = open()
    const [member = 0, leaving = 0, ...newcomers] = world.newPhones(6)
    await Promise.all([member, leaving].map((phone) => world.subscribe(phone)))
    await world.settle()
    const killsBefore = world.kills.length

    const pause = await given.pause(world)
    onTestFailed(() => pause.release())
    const changing = change(world, newcomers, member)
    changing.catch(() => {}) // awaited below
    await pause.reached(role)
    if (role === 'worker') await changing
    const finish = async () => {
      if (end === 'database') await pause.release()
      else await pause.finish(end === 'rolled back')
    }
    if (end === 'database') await world.kill('database', finish)
    else if (role !== 'worker') await world.kill(role, finish)
    else {
      // later events of the same phones wait for their turn
      const [first = 0, second = 0] = newcomers
      if (change === subscribeAll) await Promise.all([world.unsubscribe(first), world.stopByText(second)])
      await world.killWorkers(async () => {
        await finish()
        if (!isLong) await world.expireLeases()
      })
    }
    await changing
    await world.unsubscribe(leaving)
    await world.settle()

    expect(world.kills.length).toBe(killsBefore + 1)
    expect(await checkEvents(world)).toEqual([])
  })
})
