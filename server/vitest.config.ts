import { defineConfig } from 'vitest/config'

const scenarios = 'test/scenarios/**/*.test.ts'

// One file has a process of its own, because it replaces a module, which only Vite's import of the code can do. All others use the
// modules of their worker one after the other, imported by Node itself with its cache of compiled code: that saves a third of their
// CPU time. State of the process must not outlive the test that changed it (test/process-state.ts).
const isolated = ['src/gateway/timing.test.ts']

const server = {
  setupFiles: ['./test/process-state.ts', './test/statement-texts.ts', './test/timer-delays.ts'],
  // each worker owns one database, so files may run beside each other; a file's tests run in order
  pool: 'forks',
  // one more than the two cores that there are at least: much of the time is spent waiting
  maxWorkers: 3,
  testTimeout: 60_000,
  hookTimeout: 60_000,
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
        test: { name: 'console', include: ['src/**/*.test.ts'], pool: 'forks', maxWorkers: 3 },
      },
      {
        test: {
          name: 'scenarios',
          include: [scenarios],
          // each starts a whole installation and watches the clock: one at a time, when all else is done
          pool: 'forks',
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 240_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
