import { defineConfig } from 'vitest/config'

const scenarios = 'test/scenarios/**/*.test.ts'
const faults = 'test/scenarios/faults/*.test.ts'

// One file has a process of its own, because it replaces a module, which only Vite's import of the code can do. All others use the
// modules of their worker one after the other, imported by Node itself with its cache of compiled code: that saves a third of their
// CPU time. State of the process must not outlive the test that changed it (test/process-state.ts).
const isolated = ['src/gateway/timing.test.ts']

/** Two more than the two cores that there are at least: tests wait for about half of their time. */
const workers = 4

const server = {
  setupFiles: ['./test/process-state.ts', './test/statement-texts.ts', './test/timer-delays.ts'],
  // each worker owns one database, so files may run beside each other; a file's tests run in order
  pool: 'forks',
  maxWorkers: workers,
  testTimeout: 60_000,
  hookTimeout: 60_000,
} as const

// Each file starts a whole installation and watches the clock, when all else is done: two at a time, because they wait for most of the
// time, and one at a time in the long form, which measures.
const isLong = process.env.CARILLON_TEST_FORM === 'long'
const scenario = {
  pool: 'forks',
  maxWorkers: isLong ? 1 : 2,
  fileParallelism: !isLong,
  sequence: { groupOrder: 1 },
  experimental: { viteModuleRunner: false },
  testTimeout: 240_000,
  hookTimeout: 120_000,
} as const

export default defineConfig({
  test: {
    // starts one PostgreSQL for all projects
    globalSetup: './test/global-setup.ts',
    projects: [
      {
        test: {
          ...server,
          name: 'isolated',
          include: isolated,
        },
      },
      {
        test: {
          ...server,
          name: 'shared',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: [scenarios, ...isolated],
          isolate: false,
          experimental: { viteModuleRunner: false },
        },
      },
      {
        root: '../console',
        test: { name: 'console', include: ['src/**/*.test.ts'], pool: 'forks', maxWorkers: workers },
      },
      // projects start in the order of their names, and the faults take as long as all other scenarios together
      {
        test: {
          ...scenario,
          name: 'faults',
          include: [faults],
        },
      },
      {
        test: {
          ...scenario,
          name: 'scenarios',
          include: [scenarios],
          exclude: [faults],
        },
      },
    ],
  },
})
