import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { waitFor } from '../wait-for.ts'
import { Installation } from './installation.ts'
import { checkOptOuts, type OptOut, optOutByApi, optOutByStop } from './opt-outs.ts'
import { phonesFrom, randomFrom } from './random-faults.ts'
import { checkCounts, isSettled, phoneOf, readSubmits, reconcile, Sampler, SubmitCounter } from './reconcile.ts'
import { makeList, sendBroadcast } from './texting.ts'

// Promise B3 on the real processes: subscribers opt out during a broadcast, and the simulator's raw file contains all
// texts that were sent to them after the opt-out was in force.

const seed = Number(process.env.CARILLON_TEST_SEED ?? Math.floor(Math.random() * 1_000_000))
const random = randomFrom(seed)
const recipients = 1_800

type Broadcast = {
  listId: number
  /** Returns the phone that is texted `n` texts later, or the first one after it that was not returned before. */
  phoneAhead(n: number): number
  /** Waits until `n` more texts are accepted; returns false at the end of the broadcast. */
  waitForTexts(n: number): Promise<boolean>
  /** Returns the phones whose text is marked as being submitted and has not reached the carrier. */
  phonesOnlyMarked(): Promise<number[]>
}

describe.skipIf(process.platform !== 'linux')('a broadcast', () => {
  let installation: Installation | undefined
  let areaCode = 212

  beforeAll(async () => {
    installation = await Installation.open({ binds: 2, window: 50, latencyMs: 150, leaseMs: 2_000 })
  })
  afterAll(() => installation?.destroy())

  const inInstallation = () => {
    if (!installation) throw new Error('the installation is not open')
    onTestFailed(() => console.error(`seed ${seed}\n${installation?.logTails()}`))
    return installation
  }

  test(`sends no text to subscribers who opt out by API or by STOP (seed ${seed})`, async () => {
    const { confirmed, suppressed } = await broadcastWhile(inInstallation(), ++areaCode, async (target, broadcast) => {
      const byApi = [3, 20, 60, 100, 200, 500].map((n) =>
        optOutByApi(target, broadcast.listId, broadcast.phoneAhead(n)),
      )
      const byStop: OptOut[] = []
      for (const n of [2, 30, 90, 150, 400]) byStop.push(await optOutByStop(target, broadcast.phoneAhead(n)))
      return [...(await Promise.all(byApi)), ...byStop]
    })
    expect(suppressed, 'texts suppressed by opt-outs').toBeGreaterThan(0)
    expect(confirmed.map(({ by }) => by)).toEqual(['stop', 'stop', 'stop', 'stop', 'stop'])
  })

  test(`sends no text to them either when the gateway is killed (seed ${seed})`, async () => {
    const { suppressed } = await broadcastWhile(inInstallation(), ++areaCode, async (target, broadcast) => {
      const byApi = [3, 40, 90, 150, 600].map((n) => optOutByApi(target, broadcast.listId, broadcast.phoneAhead(n)))
      target.kill('gateway')
      // texts are unconfirmed, marked or queued; the STOPs wait at the carrier for the next gateway
      const byStop: OptOut[] = []
      for (const n of [5, 50, 95, 300]) byStop.push(await optOutByStop(target, broadcast.phoneAhead(n)))
      return [...(await Promise.all(byApi)), ...byStop]
    })
    expect(suppressed, 'texts suppressed by opt-outs').toBeGreaterThan(0)
  })

  test(`delays the API's 200 to an opt-out while a gateway may still submit the text (seed ${seed})`, async () => {
    let foundTotal = 0
    // a broadcast may have no text in the few milliseconds between mark and PDU
    for (let round = 0; foundTotal === 0 && round < 5; round++) {
      await broadcastWhile(inInstallation(), ++areaCode, async (target, broadcast) => {
        const optOuts: OptOut[] = []
        while (optOuts.length === 0 && (await broadcast.waitForTexts(1 + Math.floor(random() * 10)))) {
          // a gateway that is frozen between mark and PDU writes the PDU when it continues, within its lease
          target.kill('gateway', 'SIGSTOP')
          const marked = (await broadcast.phonesOnlyMarked()).slice(0, 3)
          const optingOut = marked.map((phone) => optOutByApi(target, broadcast.listId, phone))
          // a response during this time would violate the promise
          if (optingOut.length > 0) await Promise.race([Promise.all(optingOut), delay(150)])
          target.kill('gateway', 'SIGCONT')
          optOuts.push(...(await Promise.all(optingOut)))
        }
        foundTotal += optOuts.length
        return optOuts
      })
    }
    expect(foundTotal, 'texts found between mark and PDU').toBeGreaterThan(0)
  })
})

/** Sends a broadcast, runs `optOut` during it, and compares the promises with the raw file. */
async function broadcastWhile(
  installation: Installation,
  areaCode: number,
  optOut: (installation: Installation, broadcast: Broadcast) => Promise<OptOut[]>,
) {
  const phones = phonesFrom(areaCode * 10_000_000 + 6_000_000, recipients)
  const listId = await makeList(installation, `List ${areaCode}`, phones)
  const content = `The pantry of ${areaCode} is open`
  const counter = new SubmitCounter(installation)
  const countBefore = counter.count
  const messageId = await sendBroadcast(installation, listId, content)
  const sampler = new Sampler(installation, messageId)
  const client = await installation.connect()
  try {
    const point = countBefore + recipients * (0.1 + random() * 0.2)
    await waitFor(() => counter.count >= point, { timeoutMs: 20_000, what: 'the moment to opt out' })
    const chosen = new Set<number>()
    const optOuts = await optOut(installation, {
      listId,
      phoneAhead(n) {
        let phone = phones[counter.count - countBefore + n] ?? 0
        while (chosen.has(phone)) phone++
        chosen.add(phone)
        return phone
      },
      async waitForTexts(n) {
        const until = counter.count + n
        // subscribers who opted out are never texted
        const end = countBefore + recipients - 20
        await waitFor(() => counter.count >= Math.min(until, end), {
          timeoutMs: 10_000,
          what: 'more texts of the broadcast',
        })
        return counter.count < end
      },
      async phonesOnlyMarked() {
        const sql = `select phone from message_log where message_id = $1 and state = 'submitting'`
        const { rows } = await client.query<{ phone: string }>(sql, [messageId])
        const accepted = new Set(readSubmits(installation, content).map(phoneOf))
        return rows.map(({ phone }) => Number(phone)).filter((phone) => !accepted.has(phone))
      },
    })

    await waitFor(() => isSettled(client, messageId), { timeoutMs: 60_000, what: 'the broadcast to settle' })
    const openSql = `select from messages where status = 'sending' union all select from inbound_messages where interpreted_at is null`
    await waitFor(async () => (await client.query(openSql)).rowCount === 0, {
      timeoutMs: 15_000,
      what: 'the confirmations',
    })
    await sampler.stop()
    const { faults } = await reconcile(installation, client, { messageId, content, phones })
    const { counts } = await checkCounts(client, messageId)

    expect([...sampler.faults, ...faults]).toEqual([])
    const { faults: violations, confirmed } = checkOptOuts(installation, content, optOuts)
    expect(violations).toEqual([])
    return { confirmed, suppressed: counts?.suppressed ?? 0 }
  } finally {
    await sampler.stop()
    await client.end()
  }
}
