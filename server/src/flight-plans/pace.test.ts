import { expect, test } from 'vitest'
import { type ConnectionCapacity, estimatePace } from './pace.ts'

const way = (given: Partial<ConnectionCapacity> = {}): ConnectionCapacity => ({
  name: 'a',
  mps: null,
  carrierMps: {},
  room: 10,
  ...given,
})
const none = new Map<number | null, number>()

test.each<[string, Parameters<typeof estimatePace>[0], number, ReturnType<typeof estimatePace>]>([
  ['nothing can send', { shortCodeMps: 10, connections: [] }, 100, undefined],
  [
    'a short code is capped',
    { shortCodeMps: 10, connections: [way({ mps: 100 })] },
    600,
    { perSecond: 10, seconds: 60, limitedBy: 'short_code' },
  ],
  [
    'connections are capped and add up',
    { shortCodeMps: null, connections: [way({ mps: 10 }), way({ mps: 20 })] },
    600,
    { perSecond: 30, seconds: 20, limitedBy: 'connections' },
  ],
  [
    'windows are all that holds it',
    { shortCodeMps: null, connections: [way({ room: 10 })] },
    600,
    { perSecond: 100, seconds: 6, limitedBy: 'window' },
  ],
  [
    'a cap above what the window lets through does not help',
    { shortCodeMps: null, connections: [way({ mps: 1_000, room: 10 })] },
    600,
    { perSecond: 100, seconds: 6, limitedBy: 'window' },
  ],
  [
    'nothing holds it but ourselves',
    { shortCodeMps: null, connections: [way({ room: 10_000 })] },
    30_000,
    { perSecond: 15_000, seconds: 2, limitedBy: 'software' },
  ],
])('%s', (_case, ways, parts, pace) => {
  expect(estimatePace(ways, parts, none)).toEqual(pace)
})

test('a carrier with a cap of its own may take the longest', () => {
  const connections = [
    way({ mps: 100, carrierMps: { 383: 5 }, room: 100 }),
    way({ mps: 100, carrierMps: { 383: 5 }, room: 100 }),
  ]
  const parts = new Map([
    [383, 600],
    [77, 5_400],
  ])
  expect(estimatePace({ shortCodeMps: null, connections }, 6_000, parts)).toEqual({
    perSecond: 100,
    seconds: 60,
    limitedBy: 'carrier:383',
  })
  expect(estimatePace({ shortCodeMps: null, connections }, 6_000, new Map([[null, 6_000]]))?.limitedBy).toBe(
    'connections',
  )
})
