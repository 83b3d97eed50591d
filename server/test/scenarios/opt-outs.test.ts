import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { waitFor } from '../wait-for.ts'
import { Installation } from './installation.ts'
import { checkOptOuts, type OptOut, optOutByApi, optOutByStop } from './opt-outs.ts'
import { phonesFrom, randomFrom } from './random-faults.ts'
import { checkCounts, isSettled, phoneOf, readSubmits, reconcile, Sampler, SubmitCounter } from './reconcile.ts'

// Promise B3 on the real processes: subscribers opt out during a broadcast, and the carrier's raw file shows all texts
// that were sent to them after the opt-out was in force.

const seed = Number(process.env.CARILLON_TEST_SEED ?? Math.floor(Math.random() * 1_000_000))
const random = randomFrom(seed)
const recipients = 1_800

type Broadcast = {
  listId: number
  /** Returns a phone that will be texted this many texts later, never the same one twice. */
  upcoming(n: number): number
  /** Waits until this many more texts are accepted; false when the last one is. */
  textsLater(n: number): Promise<boolean>
  /** Numbers whose text is marked as being submitted, and has not reached the carrier. */
  markedOnly(): Promise<number[]>
}

describe.skipIf(process.platform !== 'linux')('leaving while a broadcast runs', () => {
  let installation: Installation | undefined
  let areaCode = 212

  beforeAll(async () => {
    installation = await Installation.open({ binds: 2, window: 50, latencyMs: 150, leaseMs: 2_000 })
  })
  afterAll(() => installation?.endEverything())

  const inInstallation = () => {
    if (!installation) throw new Error('the installation is not open')
    onTestFailed(() => console.error(`seed ${seed}\n${installation?.logTails()}`))
    return installation
  }

  test(`no text reaches subscribers who opted out by API or by STOP (seed ${seed})`, async () => {
    const { confirmed, suppressed } = await broadcastWhile(inInstallation(), ++areaCode, async (on, broadcast) => {
      const byApi = [3, 20, 60, 100, 200, 500].map((n) => optOutByApi(on, broadcast.listId, broadcast.upcoming(n)))
      const byStop: OptOut[] = []
      for (const n of [2, 30, 90, 150, 400]) byStop.push(await optOutByStop(on, broadcast.upcoming(n)))
      return [...(await Promise.all(byApi)), ...byStop]
    })
    expect(suppressed, 'who left before their text').toBeGreaterThan(0)
    expect(confirmed.map(({ by }) => by)).toEqual(['stop', 'stop', 'stop', 'stop', 'stop'])
  })

  test(`nor when the gateway is killed in the middle of it (seed ${seed})`, async () => {
    const { suppressed } = await broadcastWhile(inInstallation(), ++areaCode, async (on, broadcast) => {
      const byApi = [3, 40, 90, 150, 600].map((n) => optOutByApi(on, broadcast.listId, broadcast.upcoming(n)))
      on.kill('gateway')
      // unconfirmed, marked and queued texts; their STOPs wait at the carrier for the next gateway
      const byStop: OptOut[] = []
      for (const n of [5, 50, 95, 300]) byStop.push(await optOutByStop(on, broadcast.upcoming(n)))
      return [...(await Promise.all(byApi)), ...byStop]
    })
    expect(suppressed, 'who left before their text').toBeGreaterThan(0)
  })

  test(`nor is the API's 200 given while a gateway may still write the text (seed ${seed})`, async () => {
    let caughtInAll = 0
    // one broadcast may have no text in the few milliseconds between mark and PDU
    for (let round = 0; caughtInAll === 0 && round < 5; round++) {
      await broadcastWhile(inInstallation(), ++areaCode, async (on, broadcast) => {
        const optOuts: OptOut[] = []
        while (optOuts.length === 0 && (await broadcast.textsLater(1 + Math.floor(random() * 10)))) {
          // a gateway that is frozen between mark and PDU writes the PDU when it continues, within its lease
          on.kill('gateway', 'SIGSTOP')
          const caught = (await broadcast.markedOnly()).slice(0, 3)
          const leaving = caught.map((phone) => optOutByApi(on, broadcast.listId, phone))
          // a response during this time would be too early
          if (leaving.length > 0) await Promise.race([Promise.all(leaving), delay(150)])
          on.kill('gateway', 'SIGCONT')
          optOuts.push(...(await Promise.all(leaving)))
        }
        caughtInAll += optOuts.length
        return optOuts
      })
    }
    expect(caughtInAll, 'texts caught between mark and PDU').toBeGreaterThan(0)
  })
})

/** Sends a broadcast, opts subscribers out during it, and compares the promises with the raw file. */
async function broadcastWhile(
  installation: Installation,
  areaCode: number,
  leave: (installation: Installation, broadcast: Broadcast) => Promise<OptOut[]>,
) {
  const phones = phonesFrom(areaCode * 10_000_000 + 6_000_000, recipients)
  const listId = await installation.makeList(`List ${areaCode}`, phones)
  const content = `The pantry of ${areaCode} is open`
  const counter = new SubmitCounter(installation)
  const begin = counter.count
  const messageId = await installation.broadcast(listId, content)
  const sampler = new Sampler(installation, messageId)
  const client = await installation.connect()
  try {
    const point = begin + recipients * (0.1 + random() * 0.2)
    await waitFor(() => counter.count >= point, { timeoutMs: 20_000, what: 'the moment to opt out' })
    const chosen = new Set<number>()
    const optOuts = await leave(installation, {
      listId,
      upcoming(n) {
        let phone = phones[counter.count - begin + n] ?? 0
        while (chosen.has(phone)) phone++
        chosen.add(phone)
        return phone
      },
      async textsLater(n) {
        const until = counter.count + n
        // subscribers who opted out are never texted
        const end = begin + recipients - 20
        await waitFor(() => counter.count >= Math.min(until, end), {
          timeoutMs: 10_000,
          what: 'the broadcast to go on',
        })
        return counter.count < end
      },
      async markedOnly() {
        const marked = `select phone from message_log where message_id = $1 and state = 'submitting'`
        const { rows } = await client.query<{ phone: string }>(marked, [messageId])
        const taken = new Set(readSubmits(installation, content).map(phoneOf))
        return rows.map(({ phone }) => Number(phone)).filter((phone) => !taken.has(phone))
      },
    })

    await waitFor(() => isSettled(client, messageId), { timeoutMs: 60_000, what: 'the broadcast to settle' })
    const open = `select from messages where status = 'sending' union all select from inbound_messages where interpreted_at is null`
    await waitFor(async () => (await client.query(open)).rowCount === 0, { timeoutMs: 15_000, what: 'the answers' })
    await sampler.stop()
    const { faults } = await reconcile(installation, client, { messageId, content, phones })
    const { counts } = await checkCounts(client, messageId)

    expect([...sampler.faults, ...faults]).toEqual([])
    const { faults: wrong, confirmed } = checkOptOuts(installation, content, optOuts)
    expect(wrong).toEqual([])
    return { confirmed, suppressed: counts?.suppressed ?? 0 }
  } finally {
    await sampler.stop()
    await client.end()
  }
}
