import { expect, test } from 'vitest'
import { waitFor } from '../../../test/wait-for.ts'
import { Cap } from '../caps/cap.ts'
import { CapSet } from '../caps/caps.ts'
import { Pacer } from './pacer.ts'

/** A cap of so many a second. */
function capOf(limit: number): CapSet {
  const cap = new Cap()
  cap.grant(limit, Number.POSITIVE_INFINITY, performance.now())
  return new CapSet([cap])
}

test('a token that is far away does not keep those of other caps waiting', async () => {
  const pacer = new Pacer()
  const written: Array<[name: string, at: number]> = []
  const add = (name: string, caps: CapSet) => {
    caps.reserve(1)
    const end = (what: string) => () => {
      written.push([what, performance.now()])
      caps.use(performance.now())
    }
    pacer.add({ caps, urgent: false, write: end(name), giveUp: end(`no ${name}`) })
  }
  const slow = capOf(2)
  add('first', slow)
  add('slow', slow)
  await waitFor(() => written.length === 1)
  // it sleeps until the second is over, or nearly
  await waitFor(() => performance.now() - (written[0]?.[1] ?? 0) > 20)
  const added = performance.now()
  add('fast', capOf(1_000))
  await waitFor(() => written.length === 3)
  expect(written.map(([name]) => name)).toEqual(['first', 'fast', 'slow'])
  expect((written[1]?.[1] ?? 0) - added).toBeLessThan(50)
})
