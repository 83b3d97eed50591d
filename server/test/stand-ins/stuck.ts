import { runRole } from '../../src/bin/role.ts'

// Stands in for a role that never finishes what it has in hand.
await runRole('stuck', async () => ({ stop: () => new Promise(() => {}) }))
