import { guardSupervisor } from '../supervisor/watchdog.ts'

// Outlives the supervisor on purpose, and a signal to all of us must not take it before its work is done.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})
await guardSupervisor(process.stdin)
process.exit(0)
