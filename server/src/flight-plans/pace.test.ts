import { expect, test } from 'vitest'
import { type ConnectionCapacity, estimatePace } from './pace.ts'

const connection = (given: Partial<ConnectionCapacity> = {}): ConnectionCapacity => ({
  name: 'a',
  mps: null,
  carrierMps: {},
  windowSlots: 10,
  ...given,
})
const none = new Map<number | null, number>()

test.each<[string, Parameters<typeof estimatePace>[0], number, ReturnType<typeof estimatePace>]>([
  ['no connection', { shortCodeMps: 10, connections: [] }, 100, undefined],
  [
    'a cap of the short code',
    { shortCodeMps: 10, connections: [connection({ mps: 100 })] },
    600,
    { perSecond: 10, seconds: 60, limitedBy: 'short_code' },
  ],
  [
    'caps of several connections',
    { shortCodeMps: null, connections: [connection({ mps: 10 }), connection({ mps: 20 })] },
    600,
    { perSecond: 30, seconds: 20, limitedBy: 'connections' },
  ],
  [
    'a window and no cap',
    { shortCodeMps: null, connections: [connection({ windowSlots: 10 })] },
    600,
    { perSecond: 100, seconds: 6, limitedBy: 'window' },
  ],
  [
    'a cap above the rate that the window allows',
    { shortCodeMps: null, connections: [connection({ mps: 1_000, windowSlots: 10 })] },
    600,
    { perSecond: 100, seconds: 6, limitedBy: 'window' },
  ],
  [
    'a window above the rate of the software',
    { shortCodeMps: null, connections: [connection({ windowSlots: 10_000 })] },
    30_000,
    { perSecond: 15_000, seconds: 2, limitedBy: 'software' },
  ],
])('estimates the pace with %s', (_case, capacity, parts, pace) => {
  expect(estimatePace(capacity, parts, none)).toEqual(pace)
})

test('estimates the pace of the slowest carrier if it has its own cap', () => {
  const connections = [
    connection({ mps: 100, carrierMps: { 383: 5 }, windowSlots: 100 }),
    connection({ mps: 100, carrierMps: { 383: 5 }, windowSlots: 100 }),
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
