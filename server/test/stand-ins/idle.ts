import { runRole } from '../../src/bin/role.ts'

// Stands in for a role that is up and has nothing to do.
await runRole('idle', async () => ({ stop: async () => {} }))
