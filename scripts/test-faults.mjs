// `npm run test:faults`: the long form of the scenarios: each fault with the leases, deadlines and durations of production,
// kills between each two steps of an event, of a click and of a report, and an account that does its worst beside another one.
// Arguments are passed to vitest: `npm run test:faults -- -t 'half open'`.
process.env.CARILLON_TEST_FORM = 'long'
process.argv.splice(
  2,
  0,
  'server/test/scenarios/faults',
  'server/test/scenarios/events',
  'server/test/scenarios/clicks',
  'server/test/scenarios/fairness',
  'server/test/scenarios/reports',
  'server/test/scenarios/scale-out.test.ts',
  'server/test/clock-steps.test.ts',
)
await import('./test.mjs')
