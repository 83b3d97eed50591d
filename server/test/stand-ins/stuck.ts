import { runRole } from '../../src/bin/role.ts'

// Replaces a role that never finishes its work.
await runRole('stuck', async () => ({ stop: () => new Promise(() => {}) }))
