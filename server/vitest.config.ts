import { defineConfig } from 'vitest/config'

const scenarios = 'test/scenarios/**/*.test.ts'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'server',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: [scenarios],
          globalSetup: './test/global-setup.ts',
          setupFiles: ['./test/statement-texts.ts', './test/timer-delays.ts'],
          // each worker owns one database, so files may run beside each other; a file's tests run in order
          pool: 'forks',
          // one more than the two cores that there are at least: much of the time is spent waiting
          maxWorkers: 3,
          testTimeout: 60_000,
          hookTimeout: 60_000,
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
