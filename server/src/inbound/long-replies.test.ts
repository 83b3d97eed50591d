import { describe, expect, test } from 'vitest'
import { useReplies } from '../../test/reply-world.ts'
import { reportIncomplete } from './reply-events.ts'

const world = useReplies()
const { rt, wait, receive, interpret, reply, broadcast, replies } = world

describe('a long text', () => {
  const part = (number: number, reference = 7) => ({ part: { reference, total: 3, number } })

  test.each([
    ['in order', [1, 2, 3]],
    ['in another order', [3, 1, 2]],
    ['with a repeated part', [2, 2, 1, 3, 3]],
  ])('is reported once, with its last part: %s', async (_name, numbers) => {
    const id = await broadcast()
    wait(1_000)
    for (const number of numbers) await receive(`<${number}>`, part(number))
    await interpret()
    const apart = await replies()
    for (const number of numbers) await reply(`<${number}>`, part(number, 8))
    const expected = [[id, '<1><2><3>']]
    expect([apart, await replies()]).toEqual([expected, expected])
    // no copy of a part is left
    wait(2 * 3_600_000)
    await reportIncomplete(rt())
    expect(await replies()).toEqual([])
  })

  test('of which a part is missing is reported after an hour, and its reference may be used again', async () => {
    const id = await broadcast()
    await reply('<old>', part(1))
    await reply('<old>', part(3))
    wait(3_600_000)
    await reportIncomplete(rt())
    expect(await replies()).toEqual([])
    wait(1)
    await Promise.all([reportIncomplete(rt()), reportIncomplete(rt())])
    expect(await replies()).toEqual([[id, '<old>[…]<old>']])
    await reportIncomplete(rt())
    for (const number of [1, 2, 3, 1, 2, 3]) await reply(`<${number}>`, part(number))
    expect(await replies()).toEqual(Array.from({ length: 2 }, () => [id, '<1><2><3>']))
  })
})
