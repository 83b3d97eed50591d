import { expect, test } from 'vitest'
import { ConsentWorld } from '../../test/consent-world.ts'
import { freshDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { randomFrom } from '../../test/scenarios/random-faults.ts'

// Random sequences of adds, files, moves, deletions, STOPs, STARTs, keywords and messages, compared with a model of
// docs/consent.md after each step: the states of all subscribers, the blocks, the ledger, and the texts that a gateway
// would send.

const steps = 120

async function play(seed: number) {
  const { db, url, close } = await freshDatabase()
  try {
    const clock = { time: new Date('2026-03-02T10:00:00Z'), now: () => clock.time }
    const rt = makeRuntime({ db, url, clock })
    const { id: accountId } = await make.account(db)
    const { id: connectionId } = await make.connection(db)
    const codes = [await make.shortCode(db, { accountId }), await make.shortCode(db, { accountId })]
    const world = new ConsentWorld({ rt, clock, accountId, connectionId, codes, random: randomFrom(seed) })
    try {
      await world.newList()
      for (let n = 0; n < steps; n++) await world.step()
      await world.send()
    } catch (error) {
      throw new Error(`seed ${seed}, after ${world.history.join(', ')}`, { cause: error })
    }
    return world.history
  } finally {
    await close()
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'random steps agree with the model of consent (seed %i)',
  { timeout: 60_000 },
  async (seed) => {
    expect(await play(seed)).toHaveLength(steps)
  },
)
