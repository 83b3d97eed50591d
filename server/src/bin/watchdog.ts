import { guardSupervisor } from '../supervisor/watchdog.ts'

// The watchdog must run longer than the supervisor, so a signal to all processes must not end it.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})
await guardSupervisor(process.stdin, process.argv[2])
process.exit(0)
