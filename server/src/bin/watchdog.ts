import { guardSupervisor } from '../supervisor/watchdog.ts'

// The watchdog outlives the supervisor, so a signal to all processes must not end it before its work is done.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})
await guardSupervisor(process.stdin)
process.exit(0)
