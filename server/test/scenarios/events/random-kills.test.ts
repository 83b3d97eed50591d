import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFailed, onTestFinished, test } from 'vitest'
import { randomFrom } from '../random-faults.ts'
import { checkEvents } from './check-events.ts'
import { EventWorld } from './event-world.ts'

// Every event arrives and the feed has no gap, also if processes are killed at any time while people join and leave and receivers fail. Only
// in the long form, `npm run test:faults`. Repeat a failure with CARILLON_TEST_SEED=<the printed seed>.

const isLong = process.env.CARILLON_TEST_FORM === 'long'
const seed = Number(process.env.CARILLON_TEST_SEED ?? Math.floor(Math.random() * 1_000_000))
const minutes = 3

/** Share of the requests to which receivers respond 500. */
const failureShare = 0.02

test.skipIf(process.platform !== 'linux' || !isLong)(
  `every event arrives while processes are killed for ${minutes} minutes (seed ${seed})`,
  { timeout: 15 * 60_000 },
  async () => {
    const random = randomFrom(seed)
    const world = await EventWorld.open(() => random() < failureShare)
    onTestFinished(() => world.close())
    onTestFailed(() => console.error(`seed ${seed}\n${world.installation.logTails()}`))
    const until = performance.now() + minutes * 60_000
    const isOver = () => performance.now() > until

    const joinAndLeave = async (leave: (phone: number) => Promise<void>) => {
      while (!isOver()) {
        const [phone = 0] = world.newPhones(1)
        await world.subscribe(phone)
        if (random() < 0.7) await leave(phone)
      }
    }
    const sendMessages = async () => {
      for (let n = 0; !isOver(); n++) {
        if (n % 10 === 0) await world.broadcast()
        await world.sendTransactional(world.newPhones(1)[0] ?? 0)
        await delay(500)
      }
    }
    const counts = { workers: 0, api: 0, gateway: 0, database: 0 }
    const kill = async () => {
      const names = Object.keys(counts) as (keyof typeof counts)[]
      while (!isOver()) {
        await delay(1_000 + 6_000 * random())
        const name = names[Math.floor(random() * names.length)] ?? 'workers'
        const nothing = async () => {}
        await (name === 'workers' ? world.killWorkers(nothing) : world.kill(name, nothing))
        counts[name]++
      }
    }
    const lanes = Array.from({ length: 3 }, () => joinAndLeave((phone) => world.unsubscribe(phone)))
    await Promise.all([...lanes, joinAndLeave((phone) => world.stopByText(phone)), sendMessages(), kill()])
    await world.settle(5 * 60_000)

    console.log(`seed ${seed}: killed ${JSON.stringify(counts)}, ${world.read.length} events`)
    console.log(world.receivers.map(({ name, arrivals }) => `${name}: ${arrivals.length} arrivals`).join('\n'))
    expect(await checkEvents(world)).toEqual([])
  },
)
